"""Which clips a request may name: sent ones, files below allowed folders, the public web."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from clips import make_clip, picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from serving_room import data_url

from assistant.serving.fetching import fetch, is_public
from assistant.serving.files import Files
from assistant.serving.keys import EVERYBODY
from assistant.serving.limits import Limits
from assistant.serving.media import Media
from assistant.serving.problems import Problem

LIMITS = Limits(body_seconds=2.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 8, fps=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "request"
    found.mkdir()
    return found


def media(tmp_path: Path, limits: Limits = LIMITS, **options) -> Media:
    return Media(Files(tmp_path / "files", limits), limits, **options)


def refused(found: Media, url: str, folder: Path) -> Problem:
    with pytest.raises(Problem) as met:
        found.clip(url, EVERYBODY, folder)
    assert "\n" not in str(met.value) and str(folder) not in str(met.value)
    return met.value


# Sent


def test_what_is_sent_is_looked_at_whatever_it_is_called(tmp_path, folder, clip):
    path = media(tmp_path).clip(data_url(clip, "application/x-sh"), EVERYBODY, folder)
    assert path.read_bytes() == clip.read_bytes() and path.parent == folder
    assert path.suffix == ""


@pytest.mark.parametrize(
    "url", ["data:video/mp4,abc", "data:", "data:;base64,", "data:video/mp4;base64,AA A"]
)
def test_a_wrong_data_url(tmp_path, folder, url):
    assert refused(media(tmp_path), url, folder).status == 400


def test_a_clip_that_is_too_long_or_too_large(tmp_path, folder, clip):
    short = media(tmp_path, Limits(clip_seconds=1.0))
    assert "cut" in str(refused(short, data_url(clip), folder)).lower()
    small = media(tmp_path, Limits(bytes=100))
    assert "MB" in str(refused(small, data_url(clip), folder))


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{secret}'\n",
        "<SMIL><video src='{secret}'/></SMIL>",
    ],
)
def test_a_list_that_names_other_files_is_no_clip(tmp_path, folder, clip, text):
    (tmp_path / "list").write_text(text.format(secret=clip))
    refused(media(tmp_path), data_url(tmp_path / "list"), folder)


# Files of the host


@pytest.fixture
def host(tmp_path: Path, clip: Path) -> Path:
    """A folder that is allowed, beside one that is not."""
    (tmp_path / "allowed" / "inner").mkdir(parents=True)
    (tmp_path / "allowed-not").mkdir()
    for name in ("allowed/a.mp4", "allowed/inner/b c.mp4", "allowed-not/secret.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    (tmp_path / "allowed/link.mp4").symlink_to(tmp_path / "allowed-not/secret.mp4")
    (tmp_path / "allowed/up").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["allowed/a.mp4", "allowed/inner/b%20c.mp4"])
def test_a_file_below_an_allowed_folder(host, folder, name):
    allowed = media(host, folders=[(host / "allowed").resolve()])
    assert allowed.clip(f"file://{host}/{name}", EVERYBODY, folder).is_file()
    assert refused(media(host), f"file://{host}/{name}", folder).code == "file_not_allowed"


@pytest.mark.parametrize(
    "name",
    [
        "allowed-not/secret.mp4",
        "allowed/../allowed-not/secret.mp4",
        "allowed/%2e%2e/allowed-not/secret.mp4",
        "allowed/link.mp4",
        "allowed/up/allowed-not/secret.mp4",
        "allowed",
        "allowed/missing.mp4",
        "allowed/a.mp4%00.png",
        "allowed/" + "a" * 5000,
    ],
)
def test_no_file_elsewhere_and_no_word_whether_it_is_there(host, folder, name):
    allowed = media(host, folders=[(host / "allowed").resolve()])
    told = {
        str(refused(allowed, f"file://{host}/{one}", folder)).split("' is")[1]
        for one in (name, "allowed-not/missing.mp4")
    }
    assert len(told) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "file:/etc/passwd", "file://elsewhere/a"])
def test_files_of_the_host_are_closed(host, folder, url):
    allowed = media(host, folders=[(host / "allowed").resolve()])
    assert refused(allowed, url, folder).code == "file_not_allowed"


# The web


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
        *("::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"),
    ],
)
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111"])
def test_public_addresses(address):
    assert is_public(address)


class Web:
    """A web server of the test, and a resolver that knows it under any name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        self.content, self.location, self.pause = content, "", 0.0
        self.asked: list[str] = []
        self.resolved: list[str] = []
        self.answers: list[list[str]] = []  # of the resolver, in turn; the last again and again
        web, real = self, socket.getaddrinfo

        def resolve(host, port, *args, **more):
            if host == "127.0.0.1":  # of the clients of other tests
                return real(host, port, *args, **more)
            web.resolved.append(host)
            found = web.answers[min(len(web.resolved), len(web.answers)) - 1]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    @contextmanager
    def serving(self) -> Iterator[int]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

            def do_GET(self) -> None:
                web.asked.append(f"{self.headers['host']}{self.path}")
                if web.location and self.path != "/end":
                    self.send_response(302)
                    self.send_header("Location", web.location)
                    self.end_headers()
                    return
                self.send_response(200)
                for place in range(1000 if web.pause else 0):
                    self.send_header(f"X-{place}", "slow")
                    self.flush_headers()
                    time.sleep(web.pause)
                self.end_headers()
                self.wfile.write(web.content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # who asked has left
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, clip: Path) -> Web:
    found = Web(monkeypatch, clip.read_bytes())
    found.answers = [["127.0.0.1"]]
    return found


def test_nothing_is_fetched_unless_it_is_allowed(tmp_path, folder, web):
    told = refused(media(tmp_path), "https://example.com/a.mp4", folder)
    assert told.code == "remote_not_allowed" and not web.resolved


def test_a_private_address_is_not_even_connected_to(tmp_path, folder, web):
    with web.serving() as port:
        told = refused(media(tmp_path, remote=True), f"http://inner.example:{port}/", folder)
    assert told.code == "private_address" and not web.asked


def test_one_private_address_among_several_is_enough(tmp_path, folder, web):
    web.answers = [["1.1.1.1", "127.0.0.1"]]
    with web.serving() as port:
        told = refused(media(tmp_path, remote=True), f"http://a.example:{port}/", folder)
    assert told.code == "private_address" and not web.asked


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1"]
)
def test_this_machine_by_any_of_its_names(tmp_path, folder, host):
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.0)
    url = f"http://{host}:{server.getsockname()[1]}/"
    assert refused(media(tmp_path, remote=True), url, folder).status == 400
    with pytest.raises(BlockingIOError):  # nobody came
        server.accept()
    server.close()


def test_a_name_is_resolved_once_and_the_checked_address_connected_to(tmp_path, folder, web, clip):
    web.answers = [["127.0.0.1"], ["10.0.0.1"]]  # it resolves otherwise a moment later
    checked: list[str] = []
    with web.serving() as port:
        found = media(tmp_path, remote=True, is_allowed=lambda one: not checked.append(one))
        path = found.clip(f"http://public.example:{port}/clip.mp4", EVERYBODY, folder)
    assert path.read_bytes() == clip.read_bytes()
    assert checked == ["127.0.0.1"] and web.resolved == ["public.example"]
    assert web.asked == [f"public.example:{port}/clip.mp4"]


def test_a_redirect_is_checked_as_the_first_address_is(tmp_path, folder, web):
    web.answers = [["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]]
    with web.serving() as port:
        found = media(tmp_path, remote=True, is_allowed=lambda one: one == "127.0.0.1")
        web.location = f"http://second.example:{port}/end"
        assert found.clip(f"http://first.example:{port}/", EVERYBODY, folder).is_file()
        web.location = "http://metadata.example/latest"
        assert refused(found, f"http://first.example:{port}/", folder).code == "private_address"
        web.location = f"file://{tmp_path}"
        web.answers = [["127.0.0.1"]]
        assert "no address of the web" in str(
            refused(found, f"http://first.example:{port}/", folder)
        )
        web.location = f"http://first.example:{port}/again"
        assert "redirects more than" in str(refused(found, f"http://first.example:{port}/", folder))


def test_a_large_file_and_a_slow_server(tmp_path, web):
    def fetched(url: str, most: int, seconds: float) -> int:
        with pytest.raises(Problem) as met:
            fetch(url, tmp_path / "x", most=most, seconds=seconds, is_allowed=lambda one: True)
        return met.value.status

    with web.serving() as port:
        assert fetched(f"http://a.example:{port}/", 100, 5.0) == 413
        web.pause = 0.02  # a header now and then, for 20 s
        began = time.monotonic()
        assert fetched(f"http://a.example:{port}/", 10**6, 0.3) == 408
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http:///a", "http://user:pass@1.1.1.1/", "http://1.1.1.1:99999/"),
        *("http://exämple.com/", "http://a\r\nX: y/", "http://[::1", "https:\\\\a.example"),
    ],
)
def test_no_address(tmp_path, folder, web, url):
    assert refused(media(tmp_path, remote=True), url, folder).status == 400
    assert not web.asked


@given(st.text(max_size=60))
def test_whatever_is_named_is_served_or_refused(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("request")

    def unknown(*_: object, **__: object) -> None:
        raise OSError("no such name")

    patch = pytest.MonkeyPatch()
    patch.setattr(socket, "getaddrinfo", unknown)
    for url in (text, f"file:{text}", f"data:{text}", f"http://{text}", f"file-{text}"):
        with pytest.raises(Problem):
            media(folder, remote=True, is_allowed=lambda one: False).clip(url, "a", folder)
    patch.undo()


def test_a_picture_by_its_content(tmp_path, folder):
    Image.fromarray(picture(3)).save(tmp_path / "a.png")
    assert media(tmp_path).clip(data_url(tmp_path / "a.png", "image/png"), "a", folder).is_file()
