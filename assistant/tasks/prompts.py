"""Strict loader of task prompts (``prompts/<task>.yaml``): which text goes into which model.

    name: chat                  # the file's name
    description: ...            # one line for a list of tasks
    fusion: |                   # text into the Q-Former
      {question}
    prompt: |                   # text into the LLM
      {question}
    examples: [...]             # questions to try
    max_new_tokens: 64
    question: ...               # optional: asked where the person asks nothing
    choices: [...]              # optional: the only answers
    expects: [...]              # optional: what could be said in the last line's place, or after it
                                # ("... I mean it."), for adapters with expectation

A template is blocks, parted by blank lines and joined by newlines. ``{question}``, ``{dialogue}``,
``{target}`` (its last line, "..." where nothing is said), ``{context}`` (the lines before that),
``{previous}`` (the last turn), ``{choices}`` and ``{sources}`` (what is perceived, a line a source
of `assistant.sources`; each may be named alone, too, as ``{attributes}``) are filled in; a block
whose fields are all empty is left out whole.
"""

import re
from collections.abc import Collection
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from string import Formatter
from typing import Any

from assistant.core.resources import prompts_dir
from assistant.errors import ConfigError
from assistant.sources import SOURCES

VARIABLES = (
    *("question", "dialogue", "target", "context", "previous", "choices", "sources"),
    *SOURCES,
)
SPOKEN = ("dialogue", "target", "context")  # of what is said
TEMPLATES = ("fusion", "prompt")
KEYS = {"qformer_text": "fusion"}  # fields that a file calls otherwise
MAX_NEW_TOKENS = 1024
PATH_LIKE = re.compile(r"[/\\]|\.ya?ml$")


@dataclass(frozen=True)
class TaskPrompt:
    """One task's texts. Raises ``ConfigError`` where a template names an unknown field."""

    name: str
    description: str
    qformer_text: str
    prompt: str
    examples: tuple[str, ...]
    max_new_tokens: int
    question: str | None = None
    choices: tuple[str, ...] | None = None
    expects: tuple[str, ...] | None = None  # texts of `assistant.model.expectation`

    def __post_init__(self) -> None:
        for template in TEMPLATES:
            for field in _template_fields(self._text(template), f"{self.name}.{template}"):
                if field not in VARIABLES:
                    raise ConfigError(
                        f"prompt {self.name}: {template} names {{{field}}}: "
                        f"wanted one of {', '.join(VARIABLES)}"
                    )

    def takes(self, *names: str) -> bool:
        """Whether a text of it names one of these variables."""
        return any(f"{{{name}}}" in self.qformer_text + self.prompt for name in names)

    @property
    def takes_dialogue(self) -> bool:
        """Whether it looks at what is said."""
        return self.takes(*SPOKEN)

    @property
    def is_about_a_line(self) -> bool:
        """Whether it asks about the last line of the dialogue: there is no answer without one."""
        return self.takes("target")

    def takes_sources(self, reads: Collection[str] = ()) -> tuple[str, ...]:
        """Names of the sources that it reads.

        Args:
            reads: those that the LLM has learned to read, beside what every model is told.
        """
        every, prompted = self.takes("sources"), "{sources}" in self.prompt
        return tuple(
            name
            for name, kind in SOURCES.items()
            if self.takes(name) or (every and kind.told) or (prompted and name in reads)
        )

    def render_qformer_text(self, **variables: str) -> str:
        """The Q-Former's text. Raises ``ConfigError`` for a missing or an unknown variable."""
        return self._render("fusion", variables)

    def render_prompt(self, **variables: str) -> str:
        """The LLM's text. Raises ``ConfigError`` for a missing or an unknown variable."""
        return self._render("prompt", variables)

    def save(self, folder: Path) -> Path:
        """Write ``folder/<name>.yaml``, atomically."""
        import yaml

        path = folder / f"{self.name}.yaml"
        data = {
            KEYS.get(key, key): list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value is not None
        }
        part = path.with_suffix(".part")
        part.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), "utf-8")
        part.replace(path)
        return path

    def _text(self, template: str) -> str:
        return self.qformer_text if template == "fusion" else self.prompt

    def _render(self, template: str, variables: dict[str, str]) -> str:
        unknown = sorted(variables.keys() - set(VARIABLES))
        if unknown:
            raise ConfigError(
                f"prompt {self.name}: unknown variable '{unknown[0]}': "
                f"wanted some of {', '.join(VARIABLES)}"
            )
        blocks = []
        for block in _blocks(self._text(template)):
            used = _template_fields(block, f"{self.name}.{template}")
            missing = [field for field in used if field not in variables]
            if missing:
                raise ConfigError(
                    f"prompt {self.name}: {template} needs '{missing[0]}', which was not given"
                )
            if not used or any(variables[field].strip() for field in used):
                values = {field: variables[field].strip() for field in used}
                blocks.append(block.format(**values).strip())
        return "\n".join(blocks)


def load_prompt(name_or_path: str | Path) -> TaskPrompt:
    """A shipped prompt by its name, or any by the path of its file.

    Raises ``ConfigError`` for a file that is missing, damaged, or has an unknown or missing key.
    """
    path = Path(name_or_path)
    if not isinstance(name_or_path, Path) and not PATH_LIKE.search(name_or_path):
        if name_or_path not in list_prompts():
            raise ConfigError(
                f"no task is called '{name_or_path}': wanted one of {', '.join(list_prompts())}, "
                "or the path of a prompt file (.yaml)"
            )
        path = prompts_dir() / f"{name_or_path}.yaml"
    return _from_data(_read(path), path)


def list_prompts() -> tuple[str, ...]:
    """Names of the shipped prompts."""
    return tuple(sorted(path.stem for path in prompts_dir().glob("*.yaml")))


def _read(path: Path) -> Any:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"prompt file {path} cannot be read ({why}): wanted YAML text") from error
    try:
        data = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"prompt file {path} is not valid YAML: {why}") from error
    if isinstance(node, yaml.MappingNode):  # safe_load keeps the last of two equal keys
        keys = [key.value for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise ConfigError(f"prompt file {path}: the key '{twice[0]}' is there twice: keep one")
    return data


def _from_data(data: Any, path: Path) -> TaskPrompt:
    keys = {KEYS.get(field.name, field.name): field for field in fields(TaskPrompt)}
    if not isinstance(data, dict):
        raise ConfigError(f"prompt file {path}: wanted the keys {', '.join(keys)}")
    unknown = [str(key) for key in data if key not in keys]
    if unknown:
        raise ConfigError(
            f"prompt file {path}: unknown key '{unknown[0]}': wanted {', '.join(keys)}"
        )
    for key, field in keys.items():
        if key not in data and field.default is MISSING:
            raise ConfigError(f"prompt file {path}: the key '{key}' is missing")
    values = {key: _checked(key, value, path) for key, value in data.items()}
    if values["name"] != path.stem:
        raise ConfigError(
            f"prompt file {path}: name is '{values['name']}': wanted '{path.stem}', as the file"
        )
    return TaskPrompt(**{keys[key].name: value for key, value in values.items()})


def _checked(key: str, value: Any, path: Path) -> Any:
    if key in ("examples", "choices", "expects"):
        least = 2 if key == "choices" else 1
        blank = " ." if key == "expects" else None  # "..." alone goes on with nothing
        if (
            not isinstance(value, list)
            or len(value) < least
            or not all(isinstance(text, str) and text.strip(blank) for text in value)
        ):
            raise ConfigError(
                f"prompt file {path}: {key} is {value!r:.60}: "
                f"wanted a list of {least} or more texts"
            )
        return tuple(text.strip() for text in value)
    if key == "max_new_tokens":
        if type(value) is not int or not 1 <= value <= MAX_NEW_TOKENS:
            raise ConfigError(
                f"prompt file {path}: max_new_tokens is {value!r:.60}: "
                f"wanted a whole number from 1 to {MAX_NEW_TOKENS}"
            )
        return value
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"prompt file {path}: {key} is {value!r:.60}: wanted text")
    return value.strip()


def _blocks(template: str) -> list[str]:
    return re.split(r"\n(?:[ \t]*\n)+", template.strip())


def _template_fields(template: str, where: str) -> list[str]:
    """Names in braces. Raises ``ConfigError`` for anything in braces that is not a bare name."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(
            f"prompt {where}: {error}: wanted fields like {{question}}, and {{{{ for a brace"
        ) from error
    names = []
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            raise ConfigError(f"prompt {where}: field {{{name}}}: wanted a bare name in braces")
        names.append(name)
    return names
