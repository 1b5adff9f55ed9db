"""What may be asked for by name: the base model, its adapters, and recognisers of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.actions.store import recogniser_names
from assistant.serving.problems import Problem
from assistant.tasks.prompts import list_prompts
from assistant.tasks.store import adapter_folders, adapter_prompt, find_adapter, find_task

BASE_ALONE = "none"  # after the colon: the base weights, with no adapter
ACTIONS = "actions/"  # after the colon: begins the name of a recogniser


@dataclass(frozen=True)
class Choice:
    """What a name stands for, as ``Session.ask`` takes it."""

    task: str = "auto"
    adapter: str = "auto"
    recogniser: str | None = None

    def weighs_choices(self, name: str) -> bool:
        """Whether the model called ``name`` chooses among answers here, whatever is asked."""
        if self.recogniser is not None:
            return False
        if self.task != "auto":
            return find_task(self.task, name).choices is not None
        if self.adapter in ("auto", BASE_ALONE):
            return False
        return adapter_prompt(find_adapter(self.adapter, name)).choices is not None


def model_ids(name: str) -> list[str]:
    """All that may be asked for; looked up each time: what was trained since is there."""
    own = [BASE_ALONE, *adapter_folders(name), *(ACTIONS + one for one in recogniser_names())]
    return [name, *(f"{name}:{one}" for one in own)]


def choose(model: str, task: str | None, name: str) -> Choice:
    """What a request asks for.

    Only names are taken, where the command line takes folders and files, too.

    Raises:
        Problem: there is no such model, or no such task.
    """
    if model not in model_ids(name):
        raise Problem(
            404,
            f"the model {model[:80]!r} does not exist; GET /v1/models lists those that do",
            param="model",
            code="model_not_found",
        )
    tasks = sorted({*list_prompts(), *adapter_folders(name)})
    if task is not None and task not in tasks:
        raise Problem(
            400, f"there is no task {task[:60]!r}; choose of {', '.join(tasks)}", param="task"
        )
    own = model.removeprefix(name).removeprefix(":")
    if own.startswith(ACTIONS):
        return Choice(task or "auto", recogniser=own.removeprefix(ACTIONS))
    return Choice(task or "auto", own or "auto")


def described(model: str, created: int) -> dict[str, Any]:
    """OpenAI's ``model`` object."""
    return {"id": model, "object": "model", "created": created, "owned_by": "assistant"}
