"""``assistant evaluate retrieval``: its figures against plain versions, and the command."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from retrieval_sight import COLORS, ColorSpace, tiny_sight
from sklearn.metrics import average_precision_score, f1_score
from test_index import color_clip, color_photo

from assistant.cli.main import main
from assistant.data.events import items_of, read_events
from assistant.errors import InputError
from assistant.evaluation.ranks import chance, figures_of, macro_f1, percent, rank_all
from assistant.evaluation.retrieval import evaluate_retrieval


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 40))  # more than are ranked at once


class TestFigures:
    def test_as_a_plain_version_has_them(self, scores):
        rng = np.random.default_rng(1)
        found = rng.integers(12, size=40)
        events = rng.integers(12, size=300)
        right = events[:, None] == found
        keep = right.any(1)
        scores, right, events = scores[keep], right[keep], events[keep]
        ranked = rank_all(scores, right)
        figures = figures_of(ranked, events.tolist(), found.tolist(), 40, seed=0)
        orders = [sorted(range(40), key=lambda n, row=row: -row[n]) for row in scores]
        for name, k in (("1", 1), ("5", 5), ("10", 10), ("1%", 1)):
            plain = np.mean(
                [any(own[n] for n in order[:k]) for order, own in zip(orders, right, strict=True)]
            )
            assert figures.recall[name].value == pytest.approx(plain)
        ap = [average_precision_score(o, s) for o, s in zip(right, scores, strict=True)]
        assert figures.ap.value == pytest.approx(np.mean(ap))
        told = [found[order[0]] for order in orders]
        assert figures.f1 == pytest.approx(f1_score(events, told, average="macro", zero_division=0))
        assert figures.curve[-1] == 1 and figures.curve[4] == figures.recall["5"].value
        for value in (*figures.recall.values(), figures.ap):
            assert value.low <= value.value <= value.high

    def test_what_tells_nothing_is_worth_nothing(self):
        right = np.eye(20, dtype=bool)
        ranked = rank_all(np.zeros((20, 20)), right)
        assert (ranked.best == 19).all() and ranked.precision == pytest.approx(1 / 20)

    def test_a_query_does_not_find_itself(self):
        events = [0, 0, 1, 1]
        scores = np.eye(4) + np.array([[0, 0.5, 0.2, 0.1]] * 4)
        itself = np.eye(4, dtype=bool)
        right = np.equal.outer(events, events) & ~itself
        ranked = rank_all(scores, right, itself)
        assert ranked.best.tolist() == [0, 2, 1, 1]

    def test_chance_is_that_of_all_orders(self):
        size, right = 6, 2
        recall, ap = chance(np.array([right]), size)
        orders = [np.isin(order, range(right)) for order in itertools.permutations(range(size))]
        assert recall["1"] == pytest.approx(np.mean([order[0] for order in orders]))
        assert recall["5"] == pytest.approx(np.mean([order[:5].any() for order in orders]))
        exact = [average_precision_score(order, -np.arange(size)) for order in orders]
        assert ap == pytest.approx(np.mean(exact))
        assert recall["10"] == 1 and percent(size) == 1 and percent(1001) == 11

    def test_f1_counts_an_event_told_and_never_true(self):
        assert macro_f1(["a", "c"], ["a", "b"]) == pytest.approx(1 / 3)


@pytest.fixture
def events(tmp_path):
    """Three colors as text, picture and clip; red has two clips, and a second text."""
    lines = []
    for name in COLORS:
        color_photo(tmp_path / f"{name}.png", name)
        color_clip(tmp_path / f"{name}.mp4", name, seconds=1)
        line = {"event": name, "text": name, "image": f"{name}.png", "video": f"{name}.mp4"}
        lines.append(line)
    color_clip(tmp_path / "other.mp4", "red", seconds=6)
    lines.append({"event": "red", "text": "red red", "video": "other.mp4"})
    path = tmp_path / "colors.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def count_letters(texts):
    """In place of MiniLM."""
    found = np.array([[1 + text.count(letter) for letter in "abcdefg"] for text in texts], float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def mini(monkeypatch):
    sight = tiny_sight()
    monkeypatch.setattr("assistant.evaluation.retrieval.sentence_encoder", lambda: count_letters)
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)
    return sight


class TestEvaluates:
    def test_every_direction_between_what_is_there(self, events, mini):
        report = evaluate_retrieval(mini, events)
        found = {one.name: one for one in report.directions}
        assert list(found) == [
            "text to text", "text to image", "text to video", "image to text", "image to video",
            "video to text", "video to image", "video to video",
        ]  # fmt: skip
        assert (found["text to video"].queries, found["text to video"].items) == (4, 4)
        assert (found["video to video"].queries, found["video to video"].items) == (2, 3)
        for one in report.directions:
            assert list(one.systems) == ["vectors", "class names"]  # no bank; nothing word by word
            assert one.systems["vectors"].recall["1"].value == 1, one.name
            assert one.systems["vectors"].ap.value == 1
        assert found["video to video"].chance["1"] == pytest.approx(1 / 3)
        assert report.manifest["events"] == 3 and report.manifest["text"] == 4

    def test_captions_are_a_baseline(self, events, mini):
        said = []

        def captions(items):
            said.extend(items)
            return [str(item.event) for item in items]

        report = evaluate_retrieval(mini, events, captions=captions)
        assert len(said) == 7
        assert all("captions" in one.systems for one in report.directions)

    def test_reranking_changes_the_order_of_the_best_alone(self, events, mini, monkeypatch):
        def compare(self, look, texts):  # the wrong way round
            return -self.embed_frames(look) @ self.embed_texts(texts).T

        monkeypatch.setattr(ColorSpace, "compare", compare)
        for kept, right in ((100, 0.0), (1, 1.0)):
            monkeypatch.setattr("assistant.evaluation.retrieval.RERANKED", kept)
            report = evaluate_retrieval(mini, events)
            found = {one.name: one for one in report.directions}
            assert found["text to image"].systems["reranked"].recall["1"].value == right
            assert "reranked" not in found["image to video"].systems

    def test_a_clip_is_no_image(self, events, mini, tmp_path):
        line = {"event": 1, "text": "red", "image": "red.mp4"}
        events.write_text(json.dumps(line))
        with pytest.raises(InputError, match=r"red\.mp4: is a clip, and called an image"):
            evaluate_retrieval(mini, events)


class TestCommand:
    def test_report_and_json(self, events, mini, tmp_path, capsys):
        out = tmp_path / "out"
        again = events.with_name("again.jsonl")
        again.write_text(events.read_text())
        words = ["evaluate", "retrieval", "--out", str(out), "--data", str(events), str(again)]
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "text to image: 4 queries, each among 3 (1 %: 1)" in told
        assert "| vectors | 100.0 (51.0-100.0) |" not in told  # two texts of one event: no Wilson
        assert "| chance | 33.3 | 100.0 |" in told
        assert "| colors | vectors | 100.0 (33.3) |" in told and "| again | vectors |" in told
        for name in ("report.md", "report.json", "recall-colors.png", "recall-again.png"):
            assert (out / name).stat().st_size > 500
        assert main([*words, "--json"]) == 0
        reports = json.loads(capsys.readouterr().out)
        assert [one["name"] for one in reports] == ["colors", "again"]
        assert reports[0]["directions"][1]["systems"]["vectors"]["recall"]["1%"]["value"] == 1

    def test_mistakes_are_one_line_each(self, events, mini, tmp_path, capsys):
        (tmp_path / "bad.jsonl").write_text(
            '{"event": 1, "text": "a", "sound": "b"}\n{"text": "a"}\n{"event": 2}\n'
            '{"event": 3, "image": "gone.png"}\n{"event": 4, "text": " "}\nno\n'
        )
        (tmp_path / "torn.jsonl").write_text(
            '{"event": 1, "image": "red.png"}\n{"event": 2, "image": "red.png"}\n'
        )
        (tmp_path / "part.jsonl").write_text('{"event": 1, "video": "red.png", "end": 2}\n')
        (tmp_path / "lone.jsonl").write_text('{"event": 1, "text": "a"}\n')
        for arguments, told in (
            ([], "evaluate retrieval needs --data PATH"),
            (["--data", "gone.jsonl"], "gone.jsonl: cannot be read"),
            (["--data", tmp_path / "bad.jsonl"], "line 1: has unknown sound; known keys are event"),
            (["--data", tmp_path / "bad.jsonl"], "line 2: event is None; give a text"),
            (["--data", tmp_path / "bad.jsonl"], "line 3: has none of text, image, video"),
            (["--data", tmp_path / "bad.jsonl"], "image gone.png: there is no such file"),
            (["--data", tmp_path / "bad.jsonl"], "line 5: text is ' '; give a text"),
            (["--data", tmp_path / "bad.jsonl"], "line 6: is not JSON"),
            (["--data", tmp_path / "torn.jsonl"], "event 2: red.png is of event 1, too"),
            (["--data", tmp_path / "part.jsonl"], "event 1: asks for a part of its video"),
            (["--data", tmp_path / "lone.jsonl", "--head", tmp_path], "holds no head.yaml"),
            (["--data", tmp_path / "lone.jsonl"], "no event has two"),
        ):
            words = ["evaluate", "retrieval", "--out", tmp_path / "out", *arguments]
            assert main([*map(str, words)]) == 2, told
            err = capsys.readouterr().err
            assert told in err and "Traceback" not in err
        assert main(["evaluate", "motion", "--out", str(tmp_path), "--data", "a", "b"]) == 2
        assert "needs one --data PATH" in capsys.readouterr().err


class TestSets:
    def test_flickr8k(self, tmp_path, capsys):
        import zipfile

        folder = tmp_path / "set"
        folder.mkdir()
        color_photo(tmp_path / "a.jpg", "red")
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            archive.write(tmp_path / "a.jpg", "images/a.jpg")
        (folder / "captions.tsv").write_text("a.jpg#0\tA red thing .\na.jpg#1\tred\n")
        (folder / "test.txt").write_text("a.jpg\n")
        out = tmp_path / "out"
        assert main(["data", "events", "flickr8k", str(folder), str(out)]) == 0
        assert "1 events in 2 lines" in capsys.readouterr().out
        lines = read_events(out / "data.jsonl")
        assert [item.content for item in items_of(lines, "text")] == ["A red thing", "red"]
        (image,) = items_of(lines, "image")
        assert image.content == out / "photos/a.jpg" and image.event == "a.jpg"
        assert main(["data", "events", "flickr8k", str(folder), str(out)]) == 2
        assert "is there already" in capsys.readouterr().err
        (folder / "test.txt").write_text("b.jpg\n")
        assert main(["data", "events", "flickr8k", str(folder), str(tmp_path / "more")]) == 2
        assert "lacks photo or captions of b.jpg" in capsys.readouterr().err

    def test_clips_by_caption_and_by_label(self, tmp_path, capsys):
        folder = tmp_path / "set"
        (folder / "clips").mkdir(parents=True)
        rows = ["file\tcaption\tlabel"]
        for name in "ab":
            color_clip(folder / "clips" / f"{name}.mp4", "red", seconds=1)
            rows.append(f"{name}.mp4\ta red {name}\tred")
        (folder / "clips.tsv").write_text("\n".join(rows))
        for name, events, texts in (("clips", 2, 2), ("labels", 1, 1)):
            out = tmp_path / name
            assert main(["data", "events", name, str(folder), str(out)]) == 0
            lines = read_events(out / "data.jsonl")
            assert len({line.id for line in lines}) == events
            assert len(items_of(lines, "text")) == texts and len(items_of(lines, "video")) == 2
        (folder / "clips.tsv").write_text("file\tcaption\na.mp4\tred\n")
        assert main(["data", "events", "clips", str(folder), str(tmp_path / "bad")]) == 2
        assert "clips.tsv:2 lacks label" in capsys.readouterr().err

    def test_generated_pictures(self, tmp_path):
        scenes, out = tmp_path / "scenes", tmp_path / "out"
        assert main(["scenes", str(scenes), "--count", "3"]) == 0
        assert main(["data", "events", "scenes", str(scenes), str(out)]) == 0
        lines = read_events(out / "data.jsonl")
        assert len(lines) == 3 and all({*line.sources} == {"text", "image"} for line in lines)
