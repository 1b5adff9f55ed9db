"""Encoded clips of a training set: each is encoded once, whatever set it is in, whoever stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from clips import make_clip
from tiny import tiny_assistant

from assistant.data.items import Item
from assistant.errors import InputError
from assistant.training.clips import clip_table, clips_of
from assistant.training.features import INDEX


@pytest.fixture
def clips(tmp_path):
    """Three clips; the last has three frames."""
    for number, length in enumerate((12, 9, 3)):
        make_clip(tmp_path / f"{number}.mp4", range(number * 9, number * 9 + length))
    return clips_of([Item(n, tmp_path / f"{n}.mp4", "?", "yes") for n in range(3)])


@pytest.fixture
def encoder():
    return tiny_assistant().encoder


class Counting:
    """An encoder that counts the clips it is given, and breaks down at one."""

    def __init__(self, encoder, most=99):
        self.encoder, self.most, self.count = encoder, most, 0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def __call__(self, pictures):
        if self.count == self.most:
            raise KeyboardInterrupt
        self.count += 1
        return self.encoder(pictures)


def some(clips, *places):
    return {ref: key for place, (ref, key) in enumerate(clips.items()) if place in places}


def seen(table, clips):
    return table.patches(list(clips.values()), torch.arange(4).expand(len(clips), -1))


def test_new_clips_are_added_and_old_ones_are_not_encoded_again(clips, encoder, tmp_path):
    counting = Counting(encoder)
    first = clip_table(tmp_path / "work", counting, some(clips, 0, 2), 4)
    assert counting.count == 2
    both = clip_table(tmp_path / "work", counting, clips, 4)
    assert counting.count == 3
    clip_table(tmp_path / "work", counting, some(clips, 1), 4)
    assert counting.count == 3
    alone = clip_table(tmp_path / "alone", encoder, clips, 4)
    patches, there = seen(both, clips)
    assert torch.equal(patches, seen(alone, clips)[0])
    assert there.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]
    assert torch.equal(seen(first, some(clips, 0))[0], patches[:1])
    first = clips[next(iter(clips))]
    assert torch.equal(both.classes(first), alone.classes(first))


def test_another_number_of_frames_is_another_table(clips, encoder, tmp_path):
    counting = Counting(encoder)
    for frames in (4, 2, 4):
        clip_table(tmp_path / "work", counting, clips, frames)
    assert counting.count == 6


@pytest.mark.parametrize("cut", [False, True])
def test_a_stop_keeps_what_was_encoded(clips, encoder, tmp_path, cut):
    with pytest.raises(KeyboardInterrupt):
        clip_table(tmp_path / "work", Counting(encoder, most=2), clips, 4)
    (index,) = (tmp_path / "work").glob(f"*/{INDEX}")
    if cut:  # the machine went down in the middle of a line
        index.write_bytes(index.read_bytes()[:-5])
    counting = Counting(encoder)
    table = clip_table(tmp_path / "work", counting, clips, 4)
    assert counting.count == (2 if cut else 1)
    alone = clip_table(tmp_path / "alone", encoder, clips, 4)
    assert torch.equal(seen(table, clips)[0], seen(alone, clips)[0])


def test_clips_that_cannot_be_decoded_are_all_named_and_the_others_kept(clips, encoder, tmp_path):
    broken = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in broken:
        path.write_bytes(b"no clip")
    whole = clips | clips_of([Item(path.name, path, "?", "yes") for path in broken])
    with pytest.raises(InputError, match=r"(?s)a\.mp4.*b\.mp4"):
        clip_table(tmp_path / "work", encoder, whole, 4)
    counting = Counting(encoder)
    clip_table(tmp_path / "work", counting, clips, 4)
    assert counting.count == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from assistant.training.clips import _readers

if __name__ == "__main__":
    with _readers(drawn=True) as pool:
        Path(sys.argv[1]).write_text(str(pool.submit(os.getpid).result()))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_readers_end_with_the_process_that_was_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    told = tmp_path / "reader"
    killed = subprocess.run([sys.executable, script, told])
    assert killed.returncode == -signal.SIGKILL
    reader = int(told.read_text())
    for _ in range(200):
        if not alive(reader):
            return
        time.sleep(0.1)
    os.kill(reader, signal.SIGKILL)
    pytest.fail("a reader outlived the process that it worked for")


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
