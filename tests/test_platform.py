"""What a machine denies or does: rights, memory, space, proxies, signals, processes that die."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import torch
from safetensors import SafetensorError

from assistant.cli.main import main
from assistant.cli.ui import port_errors
from assistant.core.files import write_whole
from assistant.core.resources import no_proxy
from assistant.core.scratch import scratch_folder
from assistant.core.shortage import shortage_of
from assistant.errors import InputError, ResourceError, VideoLimitError, WeightsError
from assistant.media import video
from assistant.model import weight_files
from assistant.model.weight_files import read_weights, save_weights


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Whoever is in the group may read."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def assistant(*arguments: str, flags: tuple[str, ...] = (), **options):
    command = [sys.executable, *flags, "-m", "assistant", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


class TestRights:
    def test_weights_follow_the_umask(self, umask, tmp_path):
        save_weights({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
        assert mode(tmp_path / "a.safetensors") == 0o640

    def test_what_is_not_ours_to_read_is_one_line(self, tmp_path, monkeypatch):
        def load_file(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(weight_files, "load_file", load_file)
        with pytest.raises(WeightsError, match="check its rights"):
            read_weights(tmp_path / "a.safetensors")
        told = shortage_of(PermissionError(errno.EACCES, "Permission denied", "a.yaml"))
        assert told is not None and told.startswith("a.yaml: is not yours to read")
        for place in ((), (7,)):  # a file may be named by its number
            told = shortage_of(PermissionError(errno.EACCES, "Permission denied", *place))
            assert told is not None and told.startswith("a file is not yours to read")


class TestShortage:
    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            MemoryError("Cannot allocate memory (os error 12)"),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            RuntimeError("std::bad_alloc"),
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: "
                "can't allocate memory: you tried to allocate 4 bytes"
            ),
            RuntimeError("unable to mmap 9 bytes from file <a>: Cannot allocate memory (12)"),
            SafetensorError("I/O error: Cannot allocate memory (os error 12)"),
        ],
    )
    def test_memory_is_said_as_memory(self, error):
        told = shortage_of(error)
        assert told is not None and "not enough memory" in told and "mini wants" in told
        later = KeyError("what came of it")
        later.__cause__ = error
        assert "not enough memory" in str(shortage_of(later))

    def test_a_file_is_not_called_damaged_for_want_of_memory(self, tmp_path, monkeypatch):
        def load_file(path):
            raise SafetensorError("I/O error: Cannot allocate memory (os error 12)")

        monkeypatch.setattr(weight_files, "load_file", load_file)
        with pytest.raises(ResourceError, match="not enough memory"):
            read_weights(tmp_path / "a.safetensors")

    @pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("memory"), OSError(2, "no")])
    def test_a_bug_stays_a_bug(self, error):
        assert shortage_of(error) is None

    def test_a_full_disk_names_the_file(self):
        told = shortage_of(OSError(errno.ENOSPC, "No space left on device", "out/a.json"))
        assert told is not None and told.startswith("out/a.json: nothing more can be written")

    @pytest.mark.parametrize("megabytes", [300, 900])
    def test_a_process_that_may_take_little_says_so(self, megabytes):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

        hungry = "import torch; torch.zeros(1 << 30)"
        code = "import sys, assistant.cli.tools as tools; from assistant.cli.main import main\n"
        code += f"tools.run_doctor = lambda _: exec({hungry!r})\nsys.exit(main(['doctor']))"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert "not enough memory (this process may take" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_reader_may_take_no_more_than_its_parent(self, monkeypatch):
        most = (1 << 30, 512 << 20)
        monkeypatch.setattr(video.resource, "getrlimit", lambda _: most)
        assert video.within_own(video.Limits()).memory_mb == 512
        with pytest.raises(VideoLimitError, match="more than 100 MB"):
            video.unpacked(Path("a.mp4"), b"", 1, video.Limits(memory_mb=100))


class TestStreams:
    def test_what_cannot_be_said_is_one_line(self):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-m", "assistant", "--help"]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and "no space left" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_closed_stdout_is_no_fault(self):
        done = subprocess.run(
            f"{sys.executable} -m assistant cache >&-", shell=True, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("flags", [("-OO",), ("-BOO",), ("-O", "-O")])
    def test_without_docstrings_it_starts_anew_with_them(self, flags):
        done = assistant("--version", flags=flags)
        assert done.returncode == 0 and done.stdout.startswith("assistant ")


class TestScratch:
    def test_it_is_gone_afterwards(self, tmp_path):
        with scratch_folder("mine-", tmp_path) as folder:
            assert mode(folder) == 0o700
            (folder / "clip.mp4").write_text("clip")
        assert list(tmp_path.iterdir()) == []

    def test_where_nothing_can_be_made_it_does_not_wait(self):
        with pytest.raises(OSError, match="mine-"), scratch_folder("mine-", Path("/proc")):
            pass

    def test_that_of_a_dead_process_is_swept_and_that_of_a_living_one_stays(self, tmp_path):
        code = (
            "import sys, time; from pathlib import Path\n"
            "from assistant.core.scratch import scratch_folder\n"
            "with scratch_folder('mine-', Path(sys.argv[1])) as folder:\n"
            "    (folder / 'clip').write_text('x'); print(folder, flush=True); time.sleep(600)\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        living, dead = (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
        )
        try:
            folders = [Path(one.stdout.readline().strip()) for one in (living, dead)]
            dead.kill()
            dead.wait()
            assert all(folder.is_dir() for folder in folders)
            with scratch_folder("mine-", tmp_path):
                assert [folder.is_dir() for folder in folders] == [True, False]
        finally:
            living.kill()
            living.wait()

    def test_a_folder_without_a_lock_is_somebody_elses(self, tmp_path):
        (tmp_path / "mine-other").mkdir()
        with scratch_folder("mine-", tmp_path):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["mine-other"]


SLEEPER = """
import sys, time
from pathlib import Path
import assistant.cli.tools as tools
from assistant.cli.main import main
from assistant.core.scratch import scratch_folder

def sleep(args):
    with scratch_folder("mine-", Path(sys.argv[1])):
        print("begun", flush=True)
        time.sleep(600)

tools.run_doctor = sleep
sys.exit(main(["doctor"]))
"""


class TestSignals:
    @pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_a_command_that_is_stopped_puts_things_in_order(self, tmp_path, how, code):
        command = [sys.executable, "-c", SLEEPER, str(tmp_path)]
        heard = lambda: signal.signal(how, signal.SIG_DFL)  # noqa: E731  # under nohup, too
        process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=heard)
        assert process.stdout.readline() == "begun\n"
        process.send_signal(how)
        _, err = process.communicate()
        assert (process.returncode, err) == (code, "assistant: stopped\n")
        assert list(tmp_path.iterdir()) == []

    def test_nohup_stays(self, tmp_path):
        command = [sys.executable, "-c", SLEEPER, str(tmp_path)]
        ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
        process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=ignore)
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 143

    def test_a_reader_dies_with_its_parent(self, tmp_path):
        """It waits for its request, so that it would stay."""
        code = (
            "import os, time\n"
            "from assistant.media.worker import limit\n"
            "if not os.fork():\n"
            "    limit(600, 3072); print('begun', flush=True); time.sleep(600)\n"
            "time.sleep(600)\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=-1, text=True)
        assert parent.stdout.readline() == "begun\n"
        parent.kill()
        assert parent.communicate(timeout=60)[0] == ""  # its end: nobody holds it open


class TestProxies:
    @pytest.fixture
    def own_server(self):
        class Server(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        server.server_close()

    @pytest.mark.parametrize(
        ("name", "proxy"),
        [
            ("http_proxy", "http://127.0.0.1:9"),
            ("ALL_PROXY", "socks5://127.0.0.1:9"),
            ("all_proxy", "nonsense://127.0.0.1:9"),
        ],
    )
    def test_this_machine_is_reached_without(self, own_server, monkeypatch, name, proxy):
        for known in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(known, "example.org")
        monkeypatch.setenv(name, proxy)
        with pytest.raises((httpx.ConnectError, ImportError, ValueError)):
            httpx.get(own_server)
        with no_proxy("127.0.0.1", all_of_them=True):
            assert httpx.get(own_server).status_code == 200
        for known in ("NO_PROXY", "no_proxy"):
            assert os.environ[known] == "example.org,localhost,127.0.0.1,::1"

    def test_the_rest_goes_through_the_proxy(self, own_server, monkeypatch):
        for known in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(known, raising=False)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        with no_proxy("127.0.0.1", all_of_them=False):
            assert httpx.get(own_server).status_code == 200
            with pytest.raises(httpx.ConnectError):
                httpx.get("http://example.invalid/")


def test_the_page_starts_behind_any_proxy_and_leaves_nothing_on_sigterm(tmp_path):
    proxies = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
    process = subprocess.Popen(
        [sys.executable, "-m", "assistant", "ui"],
        env=os.environ | proxies | {"TMPDIR": str(tmp_path), "ASSISTANT_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = next((line for line in process.stderr if "http://" in line), "no page")
        assert "Talk about clips at http://127.0.0.1:" in told
        address = told.split(" at ")[1].split()[0]
        upload = {"files": ("a.mp4", b"a clip")}
        sent = httpx.post(f"{address}gradio_api/upload", files=upload, trust_env=False)
        assert Path(sent.json()[0]).is_relative_to(tmp_path)
        process.terminate()
        assert process.wait(60) == 143 and list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


class TestAddress:
    def test_a_busy_port_names_the_option(self, capsys):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert main(["ui", "--port", str(port)]) == 2
        told = capsys.readouterr().err
        assert told == f"assistant: port {port} is taken; choose another with --port\n"

    def test_a_port_that_is_taken_in_the_moment_is_said_and_a_full_disk_is_not_called_one(self):
        for taken in (OSError("Cannot find empty port"), OSError(errno.EADDRINUSE, "in use")):
            with pytest.raises(InputError, match="port 7 is taken"), port_errors(7):
                raise taken
        with pytest.raises(OSError, match="no space"), port_errors(7):
            raise OSError(errno.ENOSPC, "no space")

    def test_an_address_that_is_not_ours_names_the_option(self, capsys):
        for host in ("192.0.2.1", "a..b", "a" * 70):
            assert main(["ui", "--host", host]) == 2
            told = capsys.readouterr().err
            assert "mend --host" in told and told.count("\n") == 1


def test_a_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert main(["scenes", str(tmp_path / "out"), "--count", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_is_whole_or_the_one_before(tmp_path, monkeypatch):
    write_whole(tmp_path / "a.json", "first")

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.json", "second")
    assert (tmp_path / "a.json").read_text() == "first"
