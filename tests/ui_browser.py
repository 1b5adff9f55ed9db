"""A real browser, and what a person does in it.

``ASSISTANT_SHOTS=docs`` writes the screenshots there instead of into a temporary folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from assistant.ui.uploads import Limits
from clips import ffmpeg, make_clip
from fakes import ScriptedSource, add_source
from ui_page import Served, browser_path, in_ci, loading_of, page_model

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
needs_browser = pytest.mark.skipif(
    browser_path() is None and not in_ci(),
    reason="no Chromium on this machine (apt install chromium)",
)
PATIENCE = 60_000  # milliseconds; a busy machine is slow
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SRT = """1
00:00:00,500 --> 00:00:02,200
ANN: Look, a bike.

2
00:00:02,400 --> 00:00:04,600
BOB: Somebody left it here.
"""
ASK, CHAT, EVIDENCE, SEEN = "#va-question textarea", "#va-chat", "#va-evidence", "#va-what"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as started:
        path = browser_path()
        assert path, "no Chromium; .ci/run installs it"
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def shoot(tmp_path: Path) -> Callable:
    folder = Path(os.environ.get("ASSISTANT_SHOTS", tmp_path))

    def shoot(page, name: str) -> None:
        page.screenshot(path=folder / f"ui-{name}.png", full_page=True)

    return shoot


def give(page, *paths: Path) -> None:
    page.set_input_files("#va-drop input[type=file]", [str(path) for path in paths])


def open_clips(page, *paths: Path) -> None:
    give(page, *paths)
    opened(page)


def opened(page) -> None:
    expect(page.locator("#va-said p")).to_be_visible()
    expect(page.locator("#va-status .va-bar")).to_have_count(0)
    expect(page.locator("video.va-player")).to_be_visible()


def ask(page, question: str) -> None:
    page.fill(ASK, question)
    page.press(ASK, "Enter")


def answered(page, text: str) -> None:
    expect(page.locator(f"{CHAT} .bot").last).to_contain_text(text)
    expect(page.locator("#va-question .submit-button")).to_be_visible()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, subtitles and what is neither."""
    folder = tmp_path_factory.mktemp("files")
    make_clip(folder / "street.mp4", 50, fps=10, size=(320, 180))
    make_clip(folder / "kitchen.mp4", range(100, 130), fps=10, size=(320, 180))
    still = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=5:duration=2")
    ffmpeg(*still, "-c:v", "mpeg4", folder / "old.avi")
    (folder / "street.srt").write_text(SRT)
    (folder / "empty.mp4").touch()
    (folder / "notes.mp4").write_text("These are only notes.\n" * 99)
    (folder / "heavy.mp4").write_bytes(bytes(3 * 2**20))
    return folder


@pytest.fixture(scope="module")
def sources() -> dict[str, ScriptedSource]:
    """Scripted sources of the page, beside those that there are."""
    return {}


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, sources: dict[str, ScriptedSource]
) -> Iterator[Served]:
    """The page, with uploads of up to 2 MB."""
    model = page_model(0.05)
    patch = pytest.MonkeyPatch()
    for name, source in sources.items():
        add_source(patch, name, source)
    patch.setitem(sys.modules, "assistant.model.loading", loading_of(model))
    room = Room(Options(limits=Limits(bytes=2 * 2**20)), tmp_path_factory.mktemp("room"))
    page = build(room)
    yield Served(launch(page, room), room, model, room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


@pytest.fixture
def visit(browser, served: Served) -> Iterator[Callable]:
    """Opens the page as another visitor; nothing may be asked of another machine."""
    contexts, outside = [], []

    def visit(size: dict = DESK, **options: object):
        context = browser.new_context(viewport=size, **options)
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: outside.append(request.url))
        page.goto(served.address)
        expect(page.locator("#va-try button").first).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()
    local = (served.address, "data:", "blob:")
    assert [url for url in outside if not url.startswith(local)] == []
