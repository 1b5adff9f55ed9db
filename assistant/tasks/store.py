"""Where adapters lie: the shipped ones, and the person's own (``ASSISTANT_HOME/adapters``)."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from assistant.core.files import put_folder
from assistant.core.resources import adapters_dir, user_dir
from assistant.errors import InputError, WeightsError
from assistant.tasks.prompts import TaskPrompt, list_prompts, load_prompt
from assistant.tasks.recipes import RECIPE, Recipe, load_recipe
from assistant.weights.presets import model_name

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # PEFT's


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter on disk."""

    name: str
    folder: Path
    recipe: Recipe
    origin: str  # "shipped", "own" or "folder"


def list_models() -> list[str]:
    """Names of the models whose base weights are shipped."""
    return sorted(path.parent.parent.name for path in adapters_dir().glob("*/base/model.yaml"))


def user_adapters(model: str) -> Path:
    """Folder of the person's own adapters of a model: by name, hub id or folder."""
    return user_dir() / "adapters" / model_name(model)


def adapter_folders(model: str = "mini") -> dict[str, tuple[Path, str]]:
    """Folder and origin of every adapter of a model, by name; an own one hides a shipped one."""
    found = {
        path.parent.name: (path.parent, origin)
        for origin, root in (
            ("shipped", adapters_dir() / model_name(model)),
            ("own", user_adapters(model)),
        )
        for path in root.glob(f"*/{RECIPE}")
        if not path.parent.name.startswith(".")
    }
    return dict(sorted(found.items()))


def find_adapter(name: str | Path, model: str = "mini") -> StoredAdapter:
    """An adapter by its name, or by its folder.

    Raises:
        InputError: there is none. ConfigError: its recipe is damaged.
    """
    folders = adapter_folders(model)
    if str(name) in folders:
        folder, origin = folders[str(name)]
        return StoredAdapter(folder.name, folder, load_recipe(folder), origin)
    path = Path(name).expanduser()
    if (path / RECIPE).is_file():
        return StoredAdapter(path.resolve().name, path, load_recipe(path), "folder")
    if (path / ADAPTER_CONFIG).is_file():
        raise InputError(
            f"{path}: is an adapter of PEFT alone, without the {RECIPE} that says its task, shape "
            "and base; give a folder that assistant finetune made (RUN/adapter)"
        )
    raise InputError(
        f"no adapter {str(name)!r} for {model}; there are: {', '.join(folders) or 'none yet'}; "
        "or give an adapter's folder"
    )


def adapter_key(folder: Path, recipe: Recipe, base: str) -> str:
    """What an adapter is called in a model's memory: its task, and a hash of its weights.

    Args:
        base: fingerprint of the model's base weights.
    Raises:
        WeightsError: it was made for another base, or its weights are not there.
    """
    if recipe.made is None:
        raise WeightsError(f"{folder}: its recipe does not say for which base; train it first")
    if recipe.made.base != base:
        raise WeightsError(
            f"{folder}: was made for {recipe.made.base}, the model is {base}; "
            "train it again on this base"
        )
    path = folder / ADAPTER_WEIGHTS
    if (pickled := path.with_suffix(".bin")).is_file() and not path.is_file():
        raise WeightsError(
            f"{pickled}: is pickled, which may run code and is not read, and {ADAPTER_WEIGHTS} is "
            "not there; load it with torch.load(..., weights_only=True) and write it with "
            "safetensors.torch.save_file"
        )
    if not path.is_file():
        raise WeightsError(f"{path}: is not there; give an adapter's folder")
    return f"{recipe.task}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def adapter_prompt(adapter: StoredAdapter) -> TaskPrompt:
    """The prompt it was trained with: the file beside its recipe, else the shipped one.

    Raises:
        ConfigError: neither is there, or it is damaged.
    """
    own = adapter.folder / f"{adapter.recipe.task}.yaml"
    return load_prompt(own if own.is_file() else adapter.recipe.task)


def find_task(name: str | Path, model: str = "mini") -> TaskPrompt:
    """The prompt of a shipped task, of a file, or of an adapter of ``model``; "auto" is chat.

    Raises:
        ConfigError: unknown or unusable.
    """
    if name == "auto":
        return load_prompt("chat")
    if str(name) not in list_prompts() and str(name) in adapter_folders(model):
        return adapter_prompt(find_adapter(name, model))
    return load_prompt(name)


def install_adapter(folder: Path, name: str, model: str = "mini") -> StoredAdapter:
    """Copy a finished adapter to the person's own; one of that name is replaced.

    Raises:
        InputError: ``folder`` holds no adapter, or the name is that of the base weights.
    """
    if name == "base" or not name.isidentifier():
        raise InputError(f"an adapter cannot be called {name!r}; use letters, digits and _")
    if not (folder / RECIPE).is_file():
        raise InputError(f"{folder}: holds no {RECIPE}; give an adapter's folder")
    place = user_adapters(model) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.parent / f".{uuid4().hex}"
    shutil.copytree(folder, fresh, copy_function=shutil.copyfile)  # rights by the umask
    put_folder(fresh, place)
    return StoredAdapter(name, place, load_recipe(place), "own")
