"""What cannot be read is one clear line; a reader that hangs, crashes or grows ends alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from clips import ffmpeg, make_clip, number_of

from assistant.errors import VideoError, VideoLimitError
from assistant.media.video import Limits, probe, read_audio, read_clip, read_subtitle_track

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 20)


@pytest.fixture(scope="module")
def huge(tmp_path_factory) -> Path:
    """8K pictures, so that decoding lasts and needs memory."""
    path = tmp_path_factory.mktemp("huge") / "huge.avi"
    source = ("-f", "lavfi", "-i", "testsrc2=size=7680x4320:rate=4:duration=1")
    ffmpeg(*source, "-c:v", "mjpeg", path)
    return path


def readers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "assistant.media.worker" in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return []


def signal_while_decoding(number: int) -> threading.Thread:
    """Sends a signal to the reader once the pictures have made it grow."""

    def wait_and_send() -> None:
        until = time.monotonic() + 50
        while time.monotonic() < until:
            for reader in readers():
                if reader.is_running() and reader.memory_info().rss > 100 * MEGABYTE:
                    reader.send_signal(number)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


def line_of(error: pytest.ExceptionInfo[VideoError], path: Path) -> str:
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def directory(folder: Path) -> Path:
    return folder


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("not a video\n" * 99)
    return folder / "text.mp4"


def note(folder: Path) -> Path:
    (folder / "note.txt").write_text("not a video\n" * 99)
    return folder / "note.txt"


def playlist(folder: Path) -> Path:
    make_clip(folder / "part.ts", 5)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "part.ts", "#EXT-X-ENDLIST", ""]
    (folder / "list.m3u8").write_text("\n".join(lines))
    return folder / "list.m3u8"


def sound_only(folder: Path) -> Path:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", folder / "sound.mp3")
    return folder / "sound.mp3"


def cover_picture(folder: Path) -> Path:
    cover = make_clip(folder / "cover.png", 1, codec=())
    attach = ("-map", "0", "-map", "1", "-disposition:v", "attached_pic", "-c:v", "png")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-i", cover, *attach, folder / "song.mp3")
    return folder / "song.mp3"


def no_index(folder: Path) -> Path:
    """An MP4 whose recording broke off before its index was written."""
    path = make_clip(folder / "whole.mp4", 40)
    (folder / "broken.mp4").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder / "broken.mp4"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "no such file"),
        (directory, "is a folder"),
        (pipe, "is a device or a pipe"),
        (empty, "is empty"),
        (text, "cannot be read as a video"),
        (note, "a video clip was wanted"),
        (playlist, "a video clip was wanted"),
        (sound_only, "has no video in it"),
        (cover_picture, "has only a cover picture in it"),
        (no_index, "cannot be read as a video"),
    ],
)
def test_not_a_clip(tmp_path, capfd, make, words):
    path = make(tmp_path)
    for read in (read_clip, probe):
        with pytest.raises(VideoError) as error:
            read(path)
        assert words in line_of(error, path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_that_may_not_be_read(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())
    path.chmod(0)
    with pytest.raises(VideoError, match="Permission denied"):
        read_clip(path)


@pytest.mark.parametrize("name", ["clip\udcff.mp4", "a b'\"%03d.mp4", "-i.mp4", "concat:a|b.mp4"])
def test_any_file_name(clip, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(clip.read_bytes())
    assert number_of(read_clip(path, frames=1).frames[0]) == 10


def test_a_line_break_in_a_name_does_not_break_the_line(tmp_path):
    with pytest.raises(VideoError) as error:
        read_clip(tmp_path / "two\nlines.mp4")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_clip, probe, read_subtitle_track, read_audio])
def test_time_limit(clip, read):
    with pytest.raises(VideoLimitError, match=r"longer than 0\.001 s") as error:
        read(clip, limits=Limits(seconds=0.001))
    line_of(error, clip)
    assert readers() == []


def test_reader_that_hangs_while_decoding(huge):
    stopper = signal_while_decoding(signal.SIGSTOP)
    with pytest.raises(VideoLimitError, match="longer than 5 s"):
        read_clip(huge, limits=Limits(seconds=5))
    stopper.join()
    assert readers() == []


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_reader_that_dies_while_decoding(huge, name):
    killer = signal_while_decoding(signal.Signals[name])
    with pytest.raises(VideoError, match=name) as error:
        read_clip(huge)
    killer.join()
    line_of(error, huge)


@pytest.mark.parametrize("memory_mb", [64, 200])
def test_memory_limit(huge, memory_mb):
    with pytest.raises(VideoLimitError, match=f"more than {memory_mb} MB") as error:
        read_clip(huge, limits=Limits(memory_mb=memory_mb))
    line_of(error, huge)


def test_8k_pictures_fit_the_default_limits(huge):
    assert read_clip(huge, frames=2).frames.shape == (2, 252, 448, 3)


SCRIPT = """
import sys
from assistant.media.video import read_clip
clip = read_clip(sys.argv[1], frames=2)
print(clip.frames.shape, sorted({"av", "decord", "torch"} & sys.modules.keys()))
"""


def test_plain_script_in_a_folder_with_misleading_names(clip, tmp_path):
    """No ``if __name__`` guard, a relative path, and modules that must not be taken for ours."""
    (tmp_path / "script.py").write_text(SCRIPT)
    work = tmp_path / "work"
    work.mkdir()
    (work / "clip.mp4").write_bytes(clip.read_bytes())
    for name in ("av", "json", "assistant"):
        (work / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    command = [sys.executable, str(tmp_path / "script.py"), "clip.mp4"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(2, 64, 96, 3) []\n", "")


def test_interrupted_caller_leaves_no_reader(huge):
    script = f"from assistant.media.video import read_clip\nread_clip({str(huge)!r})"
    caller = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    process = psutil.Process(caller.pid)
    while not (children := process.children()):
        time.sleep(0.005)
    caller.send_signal(signal.SIGINT)
    caller.wait()
    assert psutil.wait_procs(children, timeout=20)[1] == []
