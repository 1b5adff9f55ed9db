"""One reader's process for many pictures: the same pictures, and the same lines where one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_video_limits import readers

from assistant.errors import VideoError
from assistant.media import reader as module
from assistant.media.reader import Reader
from assistant.media.video import read_clip


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for number, suffix in enumerate(("png", "jpg", "gif", "webp", "bmp")):
        pixels = rng.integers(0, 255, (48, 64, 3), np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6  # lies on its side
        path = tmp_path / f"{number}.{suffix}"
        Image.fromarray(pixels).save(path, **({"exif": exif} if suffix == "jpg" else {}))
        paths.append(path)
    return paths


@pytest.fixture
def reader():
    one = Reader()
    yield one
    one.close()
    assert readers() == []


def process(reader: Reader) -> int | None:
    return None if reader._process is None else reader._process.pid


def test_the_same_pictures_by_one_process(photos, reader):
    used = set()
    for path in photos:
        own, shared = read_clip(path), read_clip(path, ask_reader=reader.ask)
        assert (own.frames == shared.frames).all() and own.seconds == shared.seconds
        assert own.duration == shared.duration and own.warnings == shared.warnings
        used.add(process(reader))
    assert len(used) == 1 and None not in used


def test_what_fails_is_told_as_by_a_process_of_its_own_and_ends_there(photos, reader, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(photos[0].read_bytes()[:60])
    with pytest.raises(VideoError) as own:
        read_clip(bad)
    read_clip(photos[0], ask_reader=reader.ask)
    before = process(reader)
    with pytest.raises(VideoError) as shared:
        read_clip(bad, ask_reader=reader.ask)
    assert str(shared.value) == str(own.value) and process(reader) is None
    assert read_clip(photos[1], ask_reader=reader.ask).frames.shape == (1, 64, 48, 3)
    assert process(reader) not in (None, before)


def test_a_process_that_was_killed_costs_no_picture(photos, reader):
    read_clip(photos[0], ask_reader=reader.ask)
    reader._process.kill()
    assert read_clip(photos[0], ask_reader=reader.ask).frames.any()
    assert read_clip(photos[0], ask_reader=reader.ask).frames.any() and process(reader)


def test_one_that_hangs_is_ended(photos, reader, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    assert read_clip(photos[0], ask_reader=reader.ask).frames.any()
    assert process(reader) is None


def test_a_process_does_not_read_for_ever(photos, reader, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    used = [read_clip(path, ask_reader=reader.ask) and process(reader) for path in photos]
    assert used[0] == used[1] != used[2] == used[3] != used[4]
