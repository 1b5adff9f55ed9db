"""What comes into the chat: clips, pictures, subtitles, and what is none of them."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from assistant.ui import asking, opening
from assistant.ui.settings import Options
from assistant.ui.uploads import Limits, check_clip, safe_name
from clips import X264, ffmpeg, picture
from PIL import Image
from ui_page import last, opened, upload

from assistant.errors import InputError, VideoError

SRT = "1\n00:00:00,500 --> 00:00:01,500\nANN: The <b>first</b> line.\n"

pytest_plugins = ["ui_room"]


def test_subtitles_go_to_the_clip_that_they_are_called_after(room, visitor, clip, tmp_path):
    for name in ("street.2023.mp4", "_english.mp4"):
        shutil.copy(clip, tmp_path / name)
        last(opening.take(room, visitor, [upload(room, tmp_path / name)]))
    (tmp_path / "street.2023.English.srt").write_text(SRT)
    last(opening.take(room, visitor, [upload(room, tmp_path / "street.2023.English.srt")]))
    dialogues = {name: opened.dialogue for name, opened in visitor.clips.items()}
    assert dialogues["_english.mp4"] is None
    assert dialogues["street.2023.mp4"].name == "street.2023.English.srt"


def test_subtitles_are_used_and_shown_at_their_time(room, visitor, clip, tmp_path):
    (tmp_path / "street.en.srt").write_text(SRT)
    files = [upload(room, tmp_path / "street.en.srt"), upload(room, clip)]
    page = last(opening.take(room, visitor, files))
    assert "street.en.srt, 1 line" in page["said"] and "<track" in page["player"]
    page = last(asking.ask(room, visitor, "What is said?"))
    assert "ANN: The first line." in page["chat"][-1]["content"]
    assert 'data-seek="0.500"' in page["evidence"] and "left:10.00%" in page["evidence"]


def test_subtitles_of_a_clip_without_a_suffix_are_taken_and_replaced(
    room, visitor, model, clip, tmp_path
):
    opened(room, visitor, clip, "street")
    for said in ("first", "second"):
        (tmp_path / "words.srt").write_text(SRT.replace("first", said))
        page = last(opening.take(room, visitor, [upload(room, tmp_path / "words.srt")]))
        assert "words.srt, 1 line" in page["said"]
        page = last(asking.ask(room, visitor, "What is said?"))
        assert f"The {said} line." in page["chat"][-1]["content"]


def test_what_a_file_holds_counts_and_not_its_name(room, visitor, clip, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    page = last(opening.take(room, visitor, [upload(room, tmp_path / "still.png", "a.mp4")]))
    assert "<img" in page["player"] and '.png"' in page["player"]
    page = last(opening.take(room, visitor, [upload(room, clip, "b.png")]))
    assert "<video" in page["player"] and '.mp4"' in page["player"]


def test_uploads_are_taken_one_after_the_other(room, visitor, clip, tmp_path):
    """Subtitles that are dropped while their clip is opened are for that clip."""
    (tmp_path / "words.srt").write_text(SRT)
    opened(room, visitor, clip, "first.mp4")
    second = opening.take(room, visitor, [upload(room, clip, "second.mp4")])
    while "Checking" not in next(second).get("status", ""):
        pass
    words = [upload(room, tmp_path / "words.srt")]
    dropped = threading.Thread(target=lambda: last(opening.take(room, visitor, words)))
    dropped.start()
    time.sleep(0.1)
    last(second)
    dropped.join()
    assert visitor.clips["second.mp4"].dialogue and not visitor.clips["first.mp4"].dialogue


def test_subtitles_alone_need_a_clip(room, visitor, tmp_path):
    (tmp_path / "a.srt").write_text(SRT)
    page = last(opening.take(room, visitor, [upload(room, tmp_path / "a.srt")]))
    assert "choose the clip" in page["status"]
    assert list(room.uploads.rglob("*.srt")) == []


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uploads that cannot be asked about."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.mp4").touch()
    (folder / "notes.mp4").write_text("These are only notes.\n" * 99)
    still = folder / "still.png"
    Image.fromarray(picture(7, (32, 16))).save(still)
    slow = ("-loop", "1", "-framerate", "1/1800", "-i", still, "-t", "14400", *X264)
    ffmpeg(*slow, folder / "long.mp4")
    huge = ("-loop", "1", "-framerate", "1", "-i", still, "-vf", "scale=7680:4320", "-t", "1")
    ffmpeg(*huge, *X264, folder / "huge.mp4")
    (folder / "words.srt").write_text("no cue in here")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("empty", "empty.mp4 is empty"),
        ("notes", "notes.mp4: cannot be read as a video"),
        ("long", "long.mp4 is 4:00:00 long"),
        ("huge", "huge.mp4 has 7680 by 4320 pixels"),
    ],
)
def test_a_wrong_upload_gets_one_friendly_line(room, visitor, bad, name: str, line: str):
    page = last(opening.take(room, visitor, [upload(room, bad[name])]))
    assert line in page["status"] and page["status"].count("va-note") == 1
    assert str(room.uploads) not in page["status"]
    assert visitor.clips == {} and list(room.uploads.rglob("*.mp4")) == []
    assert list(visitor.folder.rglob("*.mp4")) == []


def test_what_is_wrong_with_a_clip_is_what_its_reader_says(room, visitor, clip, monkeypatch):
    def probe(path: Path) -> None:
        raise VideoError(f"{path}: is encrypted (copy protection): give a copy that is not")

    monkeypatch.setattr("assistant.media.video.probe", probe)
    page = last(opening.take(room, visitor, [upload(room, clip)]))
    assert "street.mp4: is encrypted" in page["status"] and str(room.uploads) not in page["status"]


def test_too_large_and_too_many(room, visitor, clip):
    with pytest.raises(InputError, match="can be opened"):
        check_clip(clip, "a.mp4", Limits(bytes=100))
    room.options = Options(limits=Limits(clips=1))
    opened(room, visitor, clip)
    more = [upload(room, clip, "b.mp4"), upload(room, clip, "c.mp4")]
    page = last(opening.take(room, visitor, more))
    assert "1 clip is open, more do not fit. Close one to open b.mp4, c.mp4." in page["status"]
    assert page["status"].count("va-note") == 1 and list(room.uploads.rglob("*.mp4")) == []


def test_an_upload_that_was_swept_while_it_waited_is_one_line(room, visitor, clip, capsys):
    path = upload(room, clip)
    pages = opening.take(room, visitor, [path])
    while "Checking" not in next(pages).get("status", ""):
        pass
    path.unlink()
    assert "street.mp4 is not there any more. Drop it again." in last(pages)["status"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_clip_can_be_closed_while_it_is_opened(room, visitor, model, clip, capsys):
    model.gate.clear()
    pages = opening.take(room, visitor, [upload(room, clip)])
    while "Looking" not in next(pages).get("status", ""):
        pass
    opening.remove(room, visitor)
    model.gate.set()
    page = last(pages)
    assert page["status"] == "" and page["clips"]["choices"] == [] and visitor.clips == {}
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in visitor.folder.iterdir() if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\x00b\n.mp4", "a b .mp4"),
        (".mp4", "mp4"),
        ("x" * 300 + ".mp4", "x" * 60 + ".mp4"),
        ("a.mp4", "a (2).mp4"),
        ("", "clip"),
    ],
)
def test_names_are_safe_and_unique(name: str, safe: str):
    assert safe_name(name, ("a.mp4",)) == safe


def test_empty_files_do_not_pile_up(room, clip):
    """Gradio leaves one beside every upload; a file that is just being written begins as one."""
    room.visitors.grace = 600.0
    for name, seconds in (("old", 120), ("fresh", 0)):
        path = room.uploads / name
        path.touch()
        os.utime(path, (time.time() - seconds,) * 2)
    kept = upload(room, clip)
    os.utime(kept, (time.time() - 120,) * 2)
    room.visitors.sweep_uploads(room.uploads)
    assert kept.exists() and sorted(p.name for p in room.uploads.iterdir() if p.is_file()) == [
        "fresh"
    ]


def test_uploads_that_nobody_took_are_removed(room, clip):
    path = upload(room, clip)
    room.visitors.sweep_uploads(room.uploads)
    assert not path.exists() and list(room.uploads.iterdir()) == []
