"""The store of clip features: hits are exact, damage is a miss, the cap holds, processes share."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assistant.model.features import ClipFeatures, FeatureKey, FeatureStore

KEY = FeatureKey("d" * 64, None, None, 2, "auto", "encoder-1")
KILOBYTE = 1024


def make(value: float = 1.0, digest: str = "d" * 64, kilobytes: int = 1) -> ClipFeatures:
    values = torch.full((2, kilobytes, 256), value, dtype=torch.float16)  # 1 KiB for each of K
    values[0, 0, 0] = 3.25
    classes = torch.full((2, 4), value)
    times = (0.25, 0.75)
    return ClipFeatures(
        values, classes, times, digest, 0.0, 1.0, 1.0, "encoder-1", ("one warning",)
    )


def key_of(number: int) -> FeatureKey:
    return replace(KEY, digest=f"{number:064d}")


def cap_used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_a_second_process_reads_what_the_first_wrote(tmp_path):
    FeatureStore(tmp_path).put(KEY, make())
    found = FeatureStore(tmp_path).get(KEY)
    assert torch.equal(found.patches, make().patches)
    assert torch.equal(found.classes, make().classes)
    assert (found.patches.dtype, found.classes.dtype) == (torch.float16, torch.float32)
    assert (found.seconds, found.warnings) == ((0.25, 0.75), ("one warning",))
    assert (found.start, found.end, found.duration) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "e" * 64},
        {"start": 0.5},
        {"end": 0.5},
        {"frames": 3},
        {"decoder": "decord"},
        {"encoder": "encoder-2"},
    ],
)
def test_every_part_of_the_key_counts(tmp_path, other):
    store = FeatureStore(tmp_path)
    store.put(KEY, make())
    assert store.get(replace(KEY, **other)) is None
    assert FeatureStore(tmp_path).get(replace(KEY, **other)) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other clip"])
def test_a_damaged_file_is_dropped_and_can_be_written_again(tmp_path, damage):
    FeatureStore(tmp_path).put(KEY, make())
    path = tmp_path / KEY.file_name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[-10] ^= 0x40
    elif damage == "empty":
        data = bytearray()
    elif damage == "text":
        data = bytearray(b"not a tensor file at all")
    elif damage == "other clip":
        FeatureStore(tmp_path).put(key_of(7), make(digest=f"{7:064d}"))
        data = bytearray((tmp_path / key_of(7).file_name).read_bytes())
    path.write_bytes(data)

    store = FeatureStore(tmp_path)
    assert store.get(KEY) is None
    assert not path.exists()
    store.put(KEY, make())
    assert FeatureStore(tmp_path).get(KEY) is not None


def test_the_disk_keeps_the_most_recently_used(tmp_path):
    store = FeatureStore(tmp_path, disk_bytes=40 * KILOBYTE)
    for number in range(3):  # 10 KiB and a header each: three fit
        store.put(key_of(number), make(digest=f"{number:064d}", kilobytes=10))
        os.utime(tmp_path / key_of(number).file_name, (number, number))
    assert FeatureStore(tmp_path).get(key_of(0)) is not None  # used now: 1 is the oldest
    store.put(key_of(3), make(digest=f"{3:064d}", kilobytes=10))

    fresh = FeatureStore(tmp_path)
    assert [number for number in range(4) if fresh.get(key_of(number))] == [0, 2, 3]
    assert cap_used(tmp_path) <= 40 * KILOBYTE


def test_what_exceeds_the_cap_alone_stays_in_memory_only(tmp_path):
    store = FeatureStore(tmp_path, disk_bytes=5 * KILOBYTE)
    store.put(KEY, make(kilobytes=10))
    assert store.get(KEY) is not None
    assert cap_used(tmp_path) == 0


def test_memory_keeps_the_most_recently_used(tmp_path):
    store = FeatureStore(tmp_path, memory_bytes=2 * KILOBYTE + 64)
    for number in range(2):
        store.put(key_of(number), make(digest=f"{number:064d}"))
    store.get(key_of(0))
    store.put(key_of(2), make(digest=f"{2:064d}"))
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    assert [number for number in range(3) if store.get(key_of(number))] == [0, 2]


def test_leftovers_of_a_killed_process_are_removed_and_those_of_a_living_one_kept(tmp_path):
    dead, living = tmp_path / "dead.part", tmp_path / "living.part"
    for path in (dead, living):
        path.write_bytes(b"half a file")
    os.utime(dead, (0, 0))
    FeatureStore(tmp_path).put(KEY, make())
    assert living.exists() and not dead.exists()


def test_a_folder_that_cannot_be_written_is_an_os_error_and_memory_still_holds(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = FeatureStore(tmp_path / "file")
    with pytest.raises(OSError):
        store.put(KEY, make())
    assert store.get(KEY) is not None


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_features import KILOBYTE, key_of, make
from assistant.model.features import FeatureStore
import torch
store = FeatureStore(Path(sys.argv[1]), disk_bytes=60 * KILOBYTE, memory_bytes=1)
for turn in range(60):
    number = turn % 8
    found = store.get(key_of(number))
    if found is None:
        store.put(key_of(number), make(number, f"{number:064d}", kilobytes=10))
    else:
        assert torch.equal(found.patches, make(number, kilobytes=10).patches)
"""


def test_two_processes_may_write_and_trim_one_folder(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors.decode()
    assert not list(tmp_path.glob("*.part"))
    store = FeatureStore(tmp_path, disk_bytes=60 * KILOBYTE)
    store.put(key_of(9), make(9.0, f"{9:064d}", kilobytes=10))
    assert cap_used(tmp_path) <= 60 * KILOBYTE
