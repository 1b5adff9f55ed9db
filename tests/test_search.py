"""A search: by words, a picture or a clip; by meaning, by words, or both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip
from retrieval_sight import COLORS, ColorSpace, tiny_sight
from test_index import SRT, color_clip, color_photo

from assistant.cli.main import main
from assistant.errors import InputError, VideoError
from assistant.media.video import probe, read_audio, read_clip
from assistant.model.space.seeing import middle
from assistant.retrieval import Hit, Index
from assistant.retrieval.cutting import cut
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.ranking import rank, shared_words
from assistant.retrieval.rows import Window

SCALE = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that is red, then blue, with subtitles and a tone; photos; a text."""
    folder = tmp_path_factory.mktemp("files")
    tone = np.sin(np.arange(12 * 8000) / 8000 * 2 * np.pi * 440).astype(np.float32) / 2
    color_clip(folder / "film.mp4", "red", "blue", sound=tone, sound_rate=8000)
    (folder / "film.srt").write_text(SRT)
    color_clip(folder / "green.mp4", "green", seconds=2)
    for name in COLORS:
        color_photo(folder / f"{name}.png", name)
    (folder / "note.txt").write_text("The boats of the harbour are green.\n")
    return folder


@pytest.fixture(scope="module")
def place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("index"))
    assert Index(uri=place, assistant=tiny_sight()).add([folder]).files == 6
    return place


@pytest.fixture
def found(place: str) -> Index:
    return Index(uri=place, assistant=tiny_sight())


@pytest.fixture
def run(place, monkeypatch, capsys):
    sight = tiny_sight()
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)

    def search(*arguments: object) -> tuple[int, str, str]:
        code = main(["search", "--index", place, *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return search


def names(hits: list[Hit]) -> list[str]:
    return [Path(hit.file).name for hit in hits]


class TestFinds:
    def test_by_meaning_the_moment_that_looks_like_it(self, found):
        hits = found.search("blue", by="meaning", kinds=["clip", "image"], top=2)
        assert sorted(names(hits)) == ["blue.png", "film.mp4"]
        film = next(hit for hit in hits if hit.kind == "clip")
        assert (film.start, film.end) == (5, 12)  # windows that share a half are one moment
        assert film.score == film.similarity

    def test_a_similarity_is_the_product_of_the_vectors(self, found, folder):
        space = tiny_sight().space
        (hit,) = found.search("blue", by="meaning", kinds=["image"], top=1)
        clip = read_clip(folder / "blue.png")
        seen = tiny_sight().encoder(clip.frames)
        seen = space.embed_frames(type("Look", (), {"patches": seen.patches}))
        exact = float(seen[0] @ space.embed_texts(["blue"])[0])
        assert hit.similarity == pytest.approx(exact, abs=1e-5)

    def test_by_a_picture_and_by_a_clip(self, found, folder):
        hits = found.search(folder / "green.png", kinds=["image", "clip"], top=2)
        assert sorted(names(hits)) == ["green.mp4", "green.png"]
        assert hits[0].similarity == pytest.approx(1, abs=0.01)
        assert names(found.search(folder / "green.mp4", kinds=["image"]))[0] == "green.png"
        assert "text" not in {hit.kind for hit in found.search(folder / "green.mp4")}
        told = found.search(folder / "green.mp4", kinds=["clip", "image", "text"])
        assert told[0].kind != "text" and "text" in {hit.kind for hit in told}

    def test_by_words_that_are_said_or_written_whatever_their_ending(self, found):
        hits = found.search("boat", by="words")
        assert sorted(names(hits)) == ["film.mp4", "note.txt"]
        film = next(hit for hit in hits if hit.kind == "clip")
        assert film.words == ("ANN: The boat sinks.",) and film.similarity is None
        assert (film.start, film.end) == (2.5, 12)  # from 7 to 9 s it is said
        assert found.search("zebra the of", by="words") == []

    def test_by_words_the_classifier_counts(self, found):
        assert set(names(found.search("green", by="words", kinds=["clip", "image"]))) == {
            "green.mp4",
            "green.png",
        }

    def test_both_find_what_either_finds(self, found):
        hits = found.search("blue boat", top=8)
        assert names(hits)[0] == "film.mp4"  # is blue, and says boat
        assert {"blue.png", "note.txt"} <= set(names(hits))

    def test_kinds_and_top(self, found):
        assert {hit.kind for hit in found.search("green", kinds=["text"])} == {"text"}
        assert len(found.search("green", top=2)) == 2
        for wrong in ({"kinds": ["sound"]}, {"kinds": []}, {"top": 0}, {"by": "luck"}):
            with pytest.raises(InputError, match="choose"):
                found.search("green", **wrong)
        with pytest.raises(InputError, match="the query is empty"):
            found.search(" ")


def window(number: int, score: float, file: str = "a.mp4", start: float | None = None) -> Window:
    start = 2.5 * number if start is None else start
    return Window(file, "clip", number, start, start + 5, f"text {number}", score)


class TestSeen:
    def test_a_second_look_joins_the_first_and_leaves_the_words_alone(self, monkeypatch):
        frames = np.zeros((1, 40, 40, 3), np.uint8)
        frames[..., 0] = 255
        frames[:, :3] = frames[:, -3:] = (0, 255, 0)  # a border that the second look leaves out
        frames[:, :, :3] = frames[:, :, -3:] = (0, 255, 0)
        once = Embedder(tiny_sight()).see(frames, [0.0])
        assert once.frames.equal(once.once)
        monkeypatch.setattr(ColorSpace, "looks_twice", True)
        embedder = Embedder(tiny_sight())
        twice = embedder.see(frames, [0.0])
        inner = embedder.see(middle(frames), [0.0]).once
        assert twice.once.equal(once.once) and inner[0, 1] == pytest.approx(0, abs=1e-3)
        both = (once.once + inner) / (once.once + inner).norm()
        assert torch.allclose(twice.frames, both, atol=1e-6)
        assert embedder.fingerprint == "colors-1+twice"

    def test_the_middle_is_mirrored(self):
        frames = np.arange(100 * 50).reshape(1, 50, 100, 1).repeat(3, 3)
        assert (middle(frames)[0, :, :, 0] == frames[0, 4:46, 7:93, 0][:, ::-1]).all()


class TestRanks:
    def test_reciprocal_ranks_are_added(self):
        a, b, c = (window(0, 0.9, file) for file in "abc")
        hits = rank({"seen": [a, b], "words": [b, c]}, 3, SCALE)
        assert names(hits) == ["b", "a", "c"]
        assert [hit.score for hit in hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])

    def test_of_equal_hits_the_first_ranking_has_the_first(self):
        b, a = window(0, 0.2, "b"), window(0, 0.9, "a")
        assert names(rank({"seen": [b], "text": [a]}, 2, SCALE)) == ["b", "a"]

    def test_neighbours_that_are_nearly_as_likely_are_one_moment(self):
        hits = rank({"seen": [window(4, 0.50), window(6, 0.49), window(5, 0.48)]}, 5, SCALE)
        assert [(hit.start, hit.end) for hit in hits] == [(10, 20)]  # 5 is the bridge
        assert hits[0].score == 0.50

    def test_what_a_better_window_shows_is_no_hit_of_its_own(self):
        hits = rank({"seen": [window(4, 0.50), window(5, 0.30), window(7, 0.29)]}, 5, SCALE)
        assert [(hit.start, hit.end) for hit in hits] == [(10, 15), (17.5, 22.5)]

    @pytest.mark.parametrize(
        ("names", "kind"),
        [("seen", "cosine"), ("words", "BM25"), ("seen words", "fused ranks")],
    )
    def test_a_score_says_what_it_is(self, names, kind):
        nothing = {"text": []}  # a search that found nothing ranks nothing
        (hit,) = rank({name: [window(0, 0.5)] for name in names.split()} | nothing, 5, SCALE)
        assert hit.score_kind == hit.as_dict()["score_kind"] == kind
        assert hit.told_score == ("0.033 fused ranks" if " " in names else f"0.500 {kind}")

    def test_files_are_kept_apart_and_pictures_too(self):
        pictures = [Window(file, "image", 0, None, None, "", 0.5) for file in "ab"]
        hits = rank({"seen": [window(0, 0.5), window(0, 0.5, "b.mp4"), *pictures]}, 9, SCALE)
        assert len(hits) == 4

    def test_words_are_the_same_whatever_their_ending(self):
        text = "playing the drums, drum, cart, dancing\nBOB: He ran the race."
        assert shared_words(text, "a drummer plays drums") == ("playing the drums", "drum")
        assert shared_words(text, "the car") == ()
        assert shared_words(text, "dance races") == ("dancing", "BOB: He ran the race.")


class TestCommand:
    def test_a_line_for_each_hit(self, run, folder):
        code, out, err = run("blue", "boat", "--kind", "clip", "--top", 1)
        assert code == 0, err
        assert out.splitlines() == [
            "blue",
            f" 0.033 fused ranks  0:05-0:12        {folder}/film.mp4  [blue]",
            "",
            "boat",
            out.splitlines()[-1],
        ]
        assert out.splitlines()[-1].endswith(f"{folder}/film.mp4  [ANN: The boat sinks.]")

    def test_json(self, run, folder):
        code, out, _ = run("boat", folder / "red.png", "--json", "--by", "words")
        told = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and [one["query"] for one in told] == ["boat", str(folder / "red.png")]
        assert list(told[0]["hits"][0]) == [
            "file", "kind", "start", "end", "score", "score_kind", "similarity", "words", "text"
        ]  # fmt: skip
        assert {Path(hit["file"]).name for hit in told[1]["hits"]} == {"red.png", "film.mp4"}

    def test_the_kind_of_score_is_said(self, run, folder):
        for by, kind in (("meaning", "cosine"), ("words", "BM25"), ("both", "fused ranks")):
            _, out, _ = run("blue", "--by", by, "--kind", "clip,image", "--top", 2)
            assert all(f" {kind}  " in line for line in out.splitlines()), (by, out)

    def test_a_hit_opens_in_the_page(self, run, folder, place, monkeypatch):
        served = []
        monkeypatch.setattr(
            "assistant.cli.ui.serve", lambda options, **how: served.append((options, how)) or 0
        )
        code, out, err = run("blue", "--kind", "clip", "--open")
        assert code == 0 and "film.mp4" in out.splitlines()[0], err
        assert run("blue", "--kind", "image,clip", "--open", 2, "--json", "--quiet")[0] == 0
        assert run("blue", "--kind", "clip")[0] == 0  # not without --open
        (first, how), (second, quiet) = served
        assert (first.begin.file, first.begin.start) == (str(folder / "film.mp4"), 5)
        assert first.index == place and first.model == "mini" and first.searched is None
        assert how == {"open_browser": True, "quiet": False} and quiet["quiet"]
        hits = Index(uri=place, assistant=tiny_sight()).search("blue", kinds=["image", "clip"])
        assert second.begin.file == hits[1].file

    def test_what_cannot_be_opened_is_said(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr("assistant.cli.ui.serve", None)  # a call would be our fault
        for words, told in (
            (["a", "b", "--open"], "--open is for one query, and 2 are given"),
            (["a", "--open", 11], "--open is 11, and --top 10 is all that is found"),
            (["a", "--open", 0], "0 is out of range"),
            (["zebra", "--by", "words", "--open"], "--open is 1, and 0 were found"),
            (["boat", "--kind", "text", "--open"], "note.txt: is a text and does not open"),
        ):
            code, _, err = run(*words)
            assert (code, err.count("\n")) == (2, 1) and told in err, (words, err)

    def test_a_hit_whose_file_is_gone_is_not_opened(self, run, tmp_path, monkeypatch):
        photo = color_photo(tmp_path / "blue.png", "blue")
        place = str(tmp_path / "place")
        Index(uri=place, assistant=tiny_sight()).add([photo])
        photo.unlink()
        code, _, err = run("blue", "--open", "--index", place)
        assert code == 2 and f"{photo}: is not there any more" in err

    def test_moments_are_cut_with_their_sound(self, run, tmp_path):
        code, out, err = run("blue", "--kind", "clip", "--top", 1, "--cut", tmp_path / "cuts")
        assert code == 0, err
        made = tmp_path / "cuts" / "01-film-5s-12s.mp4"
        assert out.splitlines()[-1] == f"cut: {made}" and [*made.parent.iterdir()] == [made]
        about = probe(made)
        assert about.duration == pytest.approx(7, abs=0.25) and about.fps == pytest.approx(5)
        frames = read_clip(made, frames=7).frames.mean((1, 2))  # (7, 3)
        assert frames[0].argmax() == 0 and (frames[1:].argmax(1) == 2).all()  # red until 6 s
        sound, _ = read_audio(made, rate=8000)
        assert np.abs(np.fft.rfft(sound[8000:16000])).argmax() == 440

    def test_what_is_no_clip_is_not_cut(self, tmp_path):
        hit = Hit("a.png", "image", None, None, 1.0, "cosine", 1.0, (), "")
        with pytest.raises(InputError, match="is no clip that a moment could be cut from"):
            cut(hit, tmp_path, 1)

    def test_mistakes_are_said_before_a_model_is_loaded(self, run, folder, tmp_path, monkeypatch):
        def load(name, **options):
            raise AssertionError("a model was loaded")

        monkeypatch.setattr("assistant.model.sight_loading.load_sight", load)
        (tmp_path / "file").write_text("")
        for words, told in (
            (["a", "--name", "gone"], "there is no index 'gone'"),
            (["gone.mp4"], "gone.mp4: is not there"),
            (["a", "--kind", "smell"], "kinds are ['smell']; choose some of clip, image, text"),
            (["a", "--by", "luck"], "luck"),
            (["a", "--top", "9999"], "top is 9999; choose 1 to 1000"),
            (["a", "--cut", tmp_path / "file"], "is a file, and a folder is wanted"),
            (["a", "--space", tmp_path / "gone"], "gone"),
        ):
            code, out, err = run(*words)
            assert (code, out, err.count("\n")) == (2, "", 1), (words, err)
            assert told in err
        assert run("boat", "--by", "words", "--quiet")[0] == 0  # needs none

    def test_a_query_that_cannot_be_read(self, run, tmp_path):
        (tmp_path / "bad.mp4").write_text("no clip")
        code, _, err = run(tmp_path / "bad.mp4")
        assert code == 2 and err.count("\n") == 1 and "cannot be read as a video" in err


def test_a_clip_that_is_gone_is_said(found, folder, tmp_path):
    clip = make_clip(tmp_path / "numbers.mp4", 20)
    clip.unlink()
    with pytest.raises(VideoError, match="is not there"):
        found.search(clip)
