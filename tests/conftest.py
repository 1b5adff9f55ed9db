"""What every test may rely on: one thread, no model hub, nothing sent home, a cache on demand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports torch, transformers or gradio; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"  # pytest-xdist runs one process per core
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; other tests use the person's own, so that weights are fetched only once."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("ASSISTANT_CACHE", str(cache))
    monkeypatch.delenv("ASSISTANT_OFFLINE", raising=False)
    return cache
