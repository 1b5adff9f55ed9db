"""Which clip a question is to, and what can be asked: names, tasks."""

import re
from collections.abc import Sequence
from pathlib import Path

from assistant.ui.settings import Options, Settings

from assistant.actions.store import find_recogniser, recogniser_names, user_recognisers
from assistant.errors import AssistantError
from assistant.tasks.prompts import list_prompts
from assistant.tasks.store import adapter_folders, find_adapter, find_task, list_models
from assistant.vqa.conversation import Turn
from assistant.vqa.several.asking import DIFFERS, SAME, compared_by
from assistant.vqa.several.naming import called_by, put_of, referring

ALL = "All clips"
DONE = "What is being done?"
MOST_LABELS = 12  # that are named in a line
OWN_ACTIONS = "actions:"  # a task that is a recogniser of actions, before its name
EVERY = re.compile(
    r"\b(?:all|both|each|every(?:one)?)(?: one)?(?: of)?(?: the| these| my)? (?:clips?|videos?)\b"
)


def clip_choices(names: Sequence[str]) -> list[str]:
    """What can be asked: each clip, and all of them where there are several."""
    return [*names, ALL] if len(names) > 1 else list(names)


def asked_clips(question: str, names: Sequence[str], chosen: str) -> list[str]:
    """The clips a question is to: those it names, or all, or the chosen one.

    A name counts with its ending, or in quotes; so does "the second clip".
    """
    if EVERY.search(question.casefold()):
        return list(names)
    places = referring(question, called_by(names)).places
    if places:
        return [names[place] for place in sorted(places)]
    return list(names) if chosen == ALL else [name for name in names if name == chosen]


def compared_clips(question: str, names: Sequence[str]) -> list[str]:
    """The clips that a question compares: those it names, or all; []: it compares none."""
    asks = compared_by(question) if len(names) > 1 else None
    places = referring(question, called_by(names)).places
    if asks is None or (len(places) == 1 and asks.kind not in (DIFFERS, SAME)):
        return []
    return [names[place] for place in sorted(places)] if len(places) > 1 else list(names)


def put_to_clip(question: str, names: Sequence[str], turns: Sequence[Turn]) -> str:
    """A question as it is put to the clip that it names: "And in the second one?" is the last one
    again."""
    called = called_by(names)
    refers = referring(question, called)
    return put_of(refers, turns, called) if refers.places else question


def models(options: Options) -> dict[str, str]:
    """What can be loaded, by what the page calls it: the server's own model first.

    A folder is called by its last part: where it lies is nobody's business.
    """
    own = {options.llm_label or Path(options.model).name or "mine": options.model}
    return own | {name: name for name in list_models() if name not in own}


def llm_of(options: Options, settings: Settings) -> str | None:
    """The language model that the server was started with, unless a visitor chose another."""
    return options.llm if settings.model in ("", options.llm_label) else None


def model_of(options: Options, settings: Settings) -> str:
    """The model that a visitor chose; a name that is not offered is the server's own."""
    return models(options).get(settings.model, options.model)


def recogniser_of(task: str) -> str | None:
    """The name of the recogniser of actions that a task is; None: it is another one."""
    return task.removeprefix(OWN_ACTIONS) if task.startswith(OWN_ACTIONS) else None


def own_question(task: str, model: str) -> str:
    """What a task asks where nothing is typed; "": it has no question of its own."""
    if recogniser_of(task) is not None:
        return DONE
    return find_task(task, model).question or ""


def about(task: str, model: str) -> str:
    """One line about a task: what it is for, what it reads, and whether it was learnt."""
    if (name := recogniser_of(task)) is not None:
        return _about_recogniser(name)
    if task == "auto":
        return "Auto takes the task whose example questions are most like yours, and says which."
    try:
        prompt = find_task(task, model)
        adapter = find_adapter(task, model) if task in adapter_folders(model) else None
    except AssistantError as error:
        return str(error)
    parts = [prompt.description]
    if adapter and not adapter.recipe.frames:
        parts.append("It reads what is said and does not look at the pictures: add subtitles.")
    elif prompt.takes_dialogue:
        parts.append("It also reads what is said: add subtitles where the clip has none.")
    if adapter is None and task not in ("chat", "describe"):
        parts.append("There is no adapter for it yet: the base weights answer.")
    return " ".join(parts)


def _about_recogniser(name: str) -> str:
    from assistant.actions.head import read_head_config

    try:
        labels = read_head_config(find_recogniser(name)).labels
    except AssistantError as error:
        return str(error).replace(f"{user_recognisers()}/", "")
    some = f", and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    return (
        f"Whatever you ask, it says which of these is done: {', '.join(labels[:MOST_LABELS])}{some}"
        ". It knows nothing else; a time in the question is where it looks."
    )


def tasks(model: str) -> list[tuple[str, str]]:
    """``(label, name)`` of every task: shipped ones and the person's own."""
    own = [name for name in adapter_folders(model) if name not in list_prompts()]
    found = [("Auto", "auto"), *((name.replace("_", " "), name) for name in list_prompts())]
    recognisers = [(f"{name} (your actions)", OWN_ACTIONS + name) for name in recogniser_names()]
    return found + [(f"{name} (yours)", name) for name in own] + recognisers


def adapters(model: str) -> list[tuple[str, str]]:
    """``(label, name)`` of every adapter."""
    found = [(f"{name} ({origin})", name) for name, (_, origin) in adapter_folders(model).items()]
    return [("the task's own", "auto"), ("none: base weights", "none"), *found]
