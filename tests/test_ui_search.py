"""The Search tab: what it finds, who may search, and a hit that opens in the chat."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
from assistant.ui import asking, opening, searching, showing
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from assistant.ui.uploads import Limits
from fakes import install
from PIL import Image
from retrieval_sight import COLORS, tiny_sight
from test_index import SRT, color_clip, color_photo
from test_ui_layout import drag
from ui_browser import (  # noqa: F401, some are fixtures
    DESK,
    PATIENCE,
    PHONE,
    browser,
    expect,
    needs_browser,
    visit,
)
from ui_page import PageModel, Served, last, loading_of, upload

from assistant.cli.main import main
from assistant.retrieval import Index

KINDS = [*searching.KINDS]


class SeeingModel(PageModel):
    """One that tells colors, and has a joint space of them."""

    space = tiny_sight().space
    _sight = tiny_sight()

    def encoder(self, frames):
        self.gate.wait(20)
        return self._sight.encoder(frames)

    @property
    def class_names(self):
        return self._sight.class_names


def seeing_model() -> SeeingModel:
    model = SeeingModel(script=lambda asked: "It is blue.")
    model.gate.set()
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A film that is red, then blue, with subtitles; a clip; photos; a text."""
    folder = tmp_path_factory.mktemp("files")
    color_clip(folder / "film.mp4", "red", "blue")
    (folder / "film.srt").write_text(SRT)
    color_clip(folder / "green.mp4", "green", seconds=2)
    for name in COLORS:
        color_photo(folder / f"{name}.png", name)
    (folder / "note <b>.txt").write_text("The boats of the harbour are green, <i>all</i>.\n")
    return folder


@pytest.fixture(scope="module")
def place(files, tmp_path_factory) -> str:
    place = str(tmp_path_factory.mktemp("index"))
    Index(uri=place, assistant=tiny_sight()).add([files])
    Index("photos", uri=place, assistant=tiny_sight()).add([*files.glob("*.png")])
    return place


@pytest.fixture
def model(monkeypatch) -> SeeingModel:
    model = seeing_model()
    install(monkeypatch, model)
    return model


@pytest.fixture
def room(model, place, tmp_path) -> Iterator[Room]:
    room = Room(Options(grace=0.0, index=place), tmp_path / "room")
    yield room
    room.close()


@pytest.fixture
def visitor(room):
    return room.visitors.of("page-1")


@pytest.fixture(scope="module")
def served(place, tmp_path_factory) -> Iterator[Served]:
    model = seeing_model()
    patch = pytest.MonkeyPatch()
    patch.setitem(sys.modules, "assistant.model.loading", loading_of(model))
    patch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: tiny_sight())
    room = Room(Options(index=place), tmp_path_factory.mktemp("room"))
    page = build(room)
    yield Served(launch(page, room), room, model, room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


def seen(page: dict) -> str:
    """What a change of the page says, without tags."""
    return unescape(re.sub("<.*?>", " ", page.get("search status", "") + page.get("hits", "")))


def search(room, visitor, words: str, **how) -> dict:
    how = {"index": "default", "kinds": KINDS, "by": "both", "top": 12} | how
    return last(searching.search(room, visitor, words, *how.values()))


def pick(room, visitor, name: str) -> dict:
    """Click the first card of a file."""
    places = [place for place, hit in enumerate(visitor.found.hits) if hit.file.endswith(name)]
    return last(showing.open_hit(room, visitor, f"{visitor.found.number}/{places[0]} 17"))


class TestTab:
    def test_indexes_by_name(self, room, visitor):
        page = last(searching.offer(room, visitor))
        assert page["index"] == {"choices": ["default", "photos"], "value": "default"}
        assert page["search form"] == {"visible": True} and page["hits"] == ""

    def test_nothing_is_indexed_yet(self, room, visitor, tmp_path):
        room.options = replace(room.options, index=str(tmp_path / "none"))
        page = last(searching.offer(room, visitor))
        assert "assistant index add ~/Videos" in page["search status"]
        assert page["search form"] == {"visible": False}

    def test_without_the_extra_one_line_says_so(self, room, visitor, monkeypatch):
        monkeypatch.setattr(searching, "find_spec", lambda name: None)
        page = last(searching.offer(room, visitor))
        assert "Not installed here: pip install 'video-assistant[search]'" in seen(page)
        assert page["search form"] == {"visible": False}

    def test_only_what_its_owner_allows_is_searched(self, room, visitor):
        room.options = replace(room.options, searched=("photos",))
        assert last(searching.offer(room, visitor))["index"]["choices"] == ["photos"]
        assert "not offered here" in seen(search(room, visitor, "blue"))
        assert "film" not in seen(search(room, visitor, "blue", index="photos"))
        room.options = replace(room.options, searched=())
        assert "--search NAME" in last(searching.offer(room, visitor))["search status"]
        assert "not offered here" in seen(search(room, visitor, "blue", index="photos"))

    def test_the_page_starts_without_what_searches(self, tmp_path, place):
        code = f"""
import sys
from pathlib import Path
from assistant.ui.app import build
from assistant.ui.room import Room, arrive
from assistant.ui.settings import Options
room = Room(Options(index={place!r}), Path({str(tmp_path)!r}))
build(room)
arrive(room, room.visitors.of("page"))
print([name for name in ("lancedb", "torch") if name in sys.modules])
"""
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert told.stdout.splitlines()[-1:] == ["[]"], told.stderr


class TestSearch:
    def test_cards_say_file_moment_score_and_words(self, room, visitor, files):
        pages = [page for page in start(room, visitor, "blue boat") if "hits" in page]
        shown = pages[0]["hits"]
        assert "7 results for “blue boat”" in shown and "fused ranks" in shown
        (film,) = re.findall(r"<li><button[^>]*>(?:(?!<li>).)*0:05.0 to 0:12.0.*?</li>", shown)
        assert "0.033 fused ranks" in film and "blue, ANN: The boat sinks." in film
        assert 'data-from="5.000" data-to="12.000"' in film
        assert "<mark>The boats of the harbour are green</mark>, &lt;i&gt;all&lt;/i&gt;." in shown
        assert "note &lt;b&gt;.txt" in shown and "<b>.txt" not in shown
        assert str(files) not in shown  # where it lies is the owner's business
        left = searching.add_pictures(room, visitor)
        assert next(left)["stills"].count("data:image/jpeg") == 2
        left.close()  # the page is loaded again
        made = last(searching.add_pictures(room, visitor))["stills"]
        assert made.count("data:image/jpeg") == 6  # the text has none
        assert list(searching.add_pictures(room, visitor)) == []
        assert last(searching.offer(room, visitor))["hits"] == shown  # the tab is opened again

    def test_the_picture_is_that_of_the_moment(self, room, visitor):
        search(room, visitor, "blue", kinds=["clip"], top=1)
        last(searching.add_pictures(room, visitor))
        assert [round(value / 128) for value in color_of(visitor.found.pictures[0])] == [0, 0, 2]

    def test_by_words_no_model_is_loaded(self, room, visitor, monkeypatch):
        def load(name, **options):
            raise AssertionError("a model was loaded")

        monkeypatch.setattr("assistant.model.sight_loading.load_sight", load)
        page = search(room, visitor, "boat", by="words")
        assert "BM25" in page["hits"] and "film.mp4" in page["hits"]
        assert "Nothing fits “zebra”" in search(room, visitor, "zebra", by="words")["hits"]
        assert room.engine.loaded() == []

    def test_by_meaning_the_chat_is_not_loaded(self, room, visitor, model, monkeypatch):
        sight = tiny_sight()
        monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda *_, **__: sight)
        pages = [*start(room, visitor, "blue", by="meaning", kinds=["image", "clip"])]
        told = [re.sub("<.*?>", "", page.get("search status", "")) for page in pages]
        assert told[0] == "Searching" and "Loading what looks (only this first time)" in told
        assert "cosine" in pages[-1]["hits"] and pages[-1]["search status"] == ""
        assert room.engine.loaded() == [] and room.engine.sight is sight

    def test_like_a_picture_or_a_clip(self, room, visitor, files):
        how = ("default", KINDS, "both", 12)
        page = last(searching.search_like(room, visitor, upload(room, files / "blue.png"), *how))
        assert "results for blue.png" in page["hits"] and "cosine" in page["hits"]
        assert "note" not in page["hits"] and page["like"] is None
        assert {Path(hit.file).name for hit in visitor.found.hits[:2]} == {"blue.png", "film.mp4"}
        mine = visitor.found.wanted.query
        assert mine.parent == visitor.folder and mine.is_file()
        again = last(searching.again(room, visitor, "photos", KINDS, "both", 1))
        assert "1 result for blue.png" in again["hits"] and mine.is_file()
        assert list(searching.again(room, visitor, "photos", KINDS, "both", 1)) == []
        last(searching.search_like(room, visitor, upload(room, files / "green.mp4"), *how))
        assert not mine.exists() and "green" in visitor.found.hits[0].file

    def test_what_cannot_be_searched_by_is_one_line(self, room, visitor, files, place):
        how = ("default", KINDS, "both", 12)
        bad = upload(room, files / "film.srt", "bad.mp4")
        page = last(searching.search_like(room, visitor, bad, *how))
        assert "bad.mp4: has no video in it" in page["search status"]
        assert str(room.uploads) not in page["search status"] and not bad.exists()
        assert "Give words" in seen(search(room, visitor, "  "))
        assert "choose some of clip, image, text" in seen(search(room, visitor, "a", kinds=[]))
        assert "top is 0" in seen(search(room, visitor, "a", top=0))
        room.engine._looking = tiny_sight("colors-2")
        told = seen(search(room, visitor, "a"))
        assert "holds vectors of the joint space" in told and place not in told

    def test_a_file_that_is_gone_is_said(self, room, visitor, tmp_path):
        folder = tmp_path / "mine"
        folder.mkdir()
        color_photo(folder / "blue.png", "blue")
        Index(uri=str(tmp_path / "place"), assistant=tiny_sight()).add([folder])
        room.options = replace(room.options, index=str(tmp_path / "place"))
        search(room, visitor, "blue")
        (folder / "blue.png").unlink()
        assert "blue.png is not there any more" in pick(room, visitor, "blue.png")["status"]
        assert "The file is not there any more" in search(room, visitor, "blue")["hits"]


class TestLent:
    def test_only_what_was_found_and_only_as_long(self, room, visitor, files):
        assert room.visitors.lent() == []
        search(room, visitor, "blue", kinds=["image"], top=1)
        assert room.visitors.lent() == [str(files / "blue.png")]
        search(room, visitor, "red", kinds=["image"], top=1)
        assert room.visitors.lent() == [str(files / "red.png")]
        pick(room, visitor, "red.png")
        search(room, visitor, "boat", kinds=["text"])
        assert room.visitors.lent() == [str(files / "red.png")]  # it is open in the chat
        opening.remove(room, visitor)
        assert room.visitors.lent() == [] and (files / "red.png").is_file()
        search(room, visitor, "blue")
        room.visitors.leave("page-1")
        room.visitors.sweep()
        assert room.visitors.lent() == [] and (files / "film.mp4").is_file()

    def test_an_index_cannot_name_what_is_no_clip(self, room, visitor, tmp_path):
        secret = tmp_path / "secret.txt"
        secret.write_text("a password")
        (tmp_path / "holiday.png").symlink_to(secret)
        for file in (secret, tmp_path / "holiday.png", tmp_path / "gone.png"):
            with pytest.raises(OSError, match=file.name):
                visitor.lent.lend(str(file))
        assert room.visitors.lent() == []

    def test_where_one_may_not_link_a_copy_is_lent(self, visitor, files, monkeypatch):
        def refuse(self: Path, target: Path) -> None:
            raise OSError("a privilege is not held")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        place = visitor.lent.lend(str(files / "red.png"))
        assert not place.is_symlink() and place.read_bytes() == (files / "red.png").read_bytes()
        visitor.lent.take_back(place)
        assert not place.exists() and (files / "red.png").is_file()

    def test_the_server_hands_out_nothing_else(self, served, files, tmp_path):
        visitor = served.room.visitors.of("by hand")
        search(served.room, visitor, "blue", kinds=["image"], top=1)
        (link,) = visitor.found.links.values()
        try:
            assert fetched(served, link) == (files / "blue.png").read_bytes()
            for other in (files / "green.png", files / "film.srt", Path("/etc/hostname")):
                assert fetched(served, other) is None
            link.unlink()
            link.symlink_to(files / "green.png")  # whatever becomes of the name
            assert fetched(served, link) is None
        finally:
            visitor.close()


class TestOpen:
    def test_in_the_chat_at_its_moment(self, room, visitor, model, files):
        search(room, visitor, "blue")
        page = pick(room, visitor, "film.mp4")
        assert page["tabs"] == {"selected": "chat"} and page["status"] == ""
        assert page["clips"]["value"] == "film.mp4" and '.mp4#t=5.000"' in page["player"]
        assert "0:05.0 to 0:12.0" in page["moment"] and page["whole"] == {"visible": True}
        assert "film.srt, 1 line" in page["said"] and str(files) not in str(page)
        last(asking.ask(room, visitor, "What is it?"))
        found = visitor.turns[-1].told.found
        assert (found["start"], found["end"]) == (5, 12)
        last(asking.ask(room, visitor, "What is at 0:02?"))
        assert visitor.turns[-1].told.found["frames"][-1] < 4

    def test_all_of_it_is_asked_when_one_wants(self, room, visitor):
        search(room, visitor, "blue")
        pick(room, visitor, "film.mp4")
        page = last(showing.whole(room, visitor))
        assert page["moment"] == "" and page["whole"] == {"visible": False}
        last(asking.ask(room, visitor, "What is it?"))
        assert visitor.turns[-1].told.found["start"] == 0

    def test_another_moment_of_an_open_file(self, room, visitor):
        search(room, visitor, "blue")
        pick(room, visitor, "film.mp4")
        search(room, visitor, "red", by="meaning")
        page = pick(room, visitor, "film.mp4")
        assert [*visitor.clips] == ["film.mp4"] and '#t=0.000"' in page["player"]

    def test_a_picture_has_no_moment(self, room, visitor):
        search(room, visitor, "blue")
        page = pick(room, visitor, "blue.png")
        assert "<img" in page["player"] and page["moment"] == ""

    def test_what_is_no_card_opens_nothing(self, room, visitor):
        assert "search again" in last(showing.open_hit(room, visitor, "1/0"))["search status"]
        search(room, visitor, "boat", kinds=["text"])
        for key in ("", "0/0", "1/-1", "1/", "../1", "1/99", "1/" + "9" * 99):
            page = last(showing.open_hit(room, visitor, key))
            assert "search again" in page["search status"], key
        page = last(showing.open_hit(room, visitor, "1/0"))  # a text has no card to click
        assert "is a text; the chat opens" in page["status"] and visitor.clips == {}
        assert room.visitors.lent() == []

    def test_where_no_more_clips_fit(self, room, visitor):
        room.options = replace(room.options, limits=Limits(clips=1))
        search(room, visitor, "blue")
        pick(room, visitor, "film.mp4")
        page = pick(room, visitor, "blue.png")
        assert "1 clip is open, more do not fit. Close one to open blue.png." in page["status"]

    def test_the_limits_of_uploads_are_not_those_of_the_owner(self, room, visitor):
        room.options = replace(room.options, limits=Limits(bytes=10, seconds=1.0, pixels=10))
        search(room, visitor, "blue")
        assert pick(room, visitor, "film.mp4")["status"] == ""

    def test_what_the_server_was_started_to_show_comes_once(self, room, visitor, place):
        (hit,) = Index(uri=place, assistant=tiny_sight()).search("blue", kinds=["clip"], top=1)
        room.options = replace(room.options, begin=hit)
        assert '#t=5.000"' in last(showing.begin(room, visitor))["player"]
        opening.remove(room, visitor)
        assert list(showing.begin(room, visitor)) == []


def start(room, visitor, words: str, **how):
    how = {"index": "default", "kinds": KINDS, "by": "both", "top": 12} | how
    return searching.search(room, visitor, words, *how.values())


def color_of(picture: str) -> list[float]:
    data = base64.b64decode(picture.partition(",")[2])
    return list(np.asarray(Image.open(io.BytesIO(data))).mean((0, 1)))


def fetched(served: Served, path: Path) -> bytes | None:
    """What the server hands out; None: it refuses."""
    try:
        with urlopen(f"{served.address}gradio_api/file={quote(str(path))}") as answer:
            return answer.read()
    except HTTPError as error:
        assert error.code == 403
        return None


WORDS = "#va-words input"
PLAYS = """([from, to]) => {
  const video = document.querySelector(".va-still video");
  return video?.muted && !video.paused && video.currentTime > from && video.currentTime < to;
}"""
AT = """moment => {
  const video = document.querySelector("video.va-player");
  return video && video.readyState && Math.abs(video.currentTime - moment) < 0.05;
}"""


def find(page, words: str) -> None:
    if not page.locator(WORDS).is_visible():
        page.get_by_role("tab", name="Search").click()
    page.fill(WORDS, words)
    page.press(WORDS, "Enter")
    expect(page.locator(".va-results")).to_contain_text(words)
    expect(page.locator("#va-stills style")).to_be_attached()


def card(page, name: str, kind: str = "hit"):
    return page.locator("li", has_text=name).locator(f"button.va-{kind}").first


@needs_browser
class TestBrowser:
    def test_hover_plays_the_moment_and_a_click_opens_it(self, visit):
        page = visit()
        find(page, "blue boat")
        expect(page.locator(".va-hits > li")).to_have_count(7)
        card(page, "film.mp4").hover()
        page.wait_for_function(PLAYS, arg=[5, 12])
        page.locator("h1").hover()
        expect(page.locator(".va-still video")).to_have_count(0)
        card(page, "film.mp4").click()
        page.wait_for_function(AT, arg=5)
        expect(page.locator("#va-moment")).to_contain_text("0:05.0 to 0:12.0")
        page.get_by_role("button", name="Ask about all of it").click()
        expect(page.locator("#va-moment")).to_be_hidden()
        page.get_by_role("tab", name="Search").click()
        expect(page.locator(".va-hits > li")).to_have_count(7)

    def test_with_the_keyboard_alone(self, visit):
        page = visit()
        page.get_by_role("tab", name="Search").click()
        expect(page.locator(WORDS)).to_be_visible()
        page.locator("h1").click()
        page.keyboard.press("/")
        page.keyboard.type("blue")
        page.keyboard.press("Enter")
        expect(page.locator(".va-hits > li").first).to_be_visible()
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.locator(".va-hit:focus", has_text="0:05.0 to 0:12.0").count():
                break
        page.wait_for_function(PLAYS, arg=[5, 12])
        page.keyboard.press("Enter")
        page.wait_for_function(AT, arg=5)

    def test_the_moment_plays_again_and_again(self, visit):
        page = visit()
        find(page, "green")
        card(page, "green.mp4").hover()
        page.wait_for_function(PLAYS, arg=[1.5, 2.1])
        page.wait_for_function(PLAYS, arg=[0, 1])

    def test_choices_search_again_and_a_file_is_dropped_anywhere(self, visit, files):
        page = visit()
        find(page, "blue")
        page.get_by_label("texts").uncheck()
        page.get_by_label("clips").uncheck()
        expect(page.locator(".va-hits > li")).to_have_count(3)
        page.evaluate("document.querySelector('.va-hits').id = 'before'")
        page.get_by_label("Index").click()
        page.get_by_role("option", name="photos").click()
        expect(page.locator("#before")).to_have_count(0)
        drag(page, "body", files / "green.png", "dragover")
        said = page.evaluate("getComputedStyle(document.body, '::after').content")
        assert "what looks like it is searched for" in said
        drag(page, "body", files / "green.png", "drop")
        expect(page.locator(".va-results")).to_contain_text("3 results for green.png")
        expect(page.locator(".va-hits > li").first).to_contain_text("1.000 cosine")
        page.set_input_files("#va-like input[type=file]", str(files / "film.srt"))
        expect(page.locator("#va-search-status")).to_contain_text("has no video in it")

    @pytest.mark.parametrize(("size", "mode"), [(DESK, "light"), (PHONE, "dark")])
    def test_nothing_on_it_keeps_anybody_out(self, visit, size, mode):
        from test_ui_access import SMALL, problems  # skipped without axe

        phone = size == PHONE
        page = visit(size, color_scheme=mode, has_touch=phone, is_mobile=phone)
        find(page, "blue boat")
        assert problems(page) == []
        if not phone:
            return
        assert page.evaluate(SMALL) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        card(page, "film.mp4").tap()
        page.wait_for_function(PLAYS, arg=[5, 12])
        card(page, "film.mp4").tap()
        expect(page.locator(".va-still video")).to_have_count(0)
        card(page, "film.mp4", "open").tap()
        page.wait_for_function(AT, arg=5)
        assert problems(page) == [] and page.evaluate(SMALL) == []

    def test_a_page_that_begins_with_a_moment(self, browser, served, place, tmp_path):
        (hit,) = Index(uri=place, assistant=tiny_sight()).search("blue", kinds=["clip"], top=1)
        room = Room(replace(served.room.options, begin=hit), tmp_path)
        built = build(room)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(launch(built, room))
        page.wait_for_function(AT, arg=5)
        expect(page.locator("#va-try button").first).to_be_visible()
        page.close()
        built.close(verbose=False)
        room.close()


class TestCommand:
    @pytest.fixture
    def options(self, monkeypatch) -> list[Options]:
        """Of each page that would be served."""
        found: list[Options] = []
        monkeypatch.setattr("assistant.cli.ui.serve", lambda options, **_: found.append(options))
        return found

    @pytest.mark.parametrize(
        ("words", "searched"),
        [
            ("", None),
            ("--host localhost", None),
            ("--host 0.0.0.0", ()),
            ("--share --auth ada:secret", ()),
            ("--host 0.0.0.0 --search photos", ("photos",)),
            ("--search photos default", ("photos", "default")),
        ],
    )
    def test_who_may_search_what(self, options, place, words, searched):
        main(["ui", "--quiet", "--index", place, *words.split()])
        assert options[0].searched == searched and options[0].index == place

    def test_an_index_that_is_not_there_is_one_line(self, options, place, capsys):
        assert main(["ui", "--index", place, "--search", "gone"]) == 2
        error = capsys.readouterr().err
        assert "there is no index 'gone'" in error and error.count("\n") == 1 and not options
