"""Official dataset formats: tiny files in their exact layout, and the real ones where they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from clips import make_clip
from fakes import ScriptedModel
from official import real, refused, write_json

from assistant.cli.main import main
from assistant.data.formats.convert import READERS, convert, report
from assistant.data.formats.table import FORMATS
from assistant.data.items import read_items
from assistant.dialogue.subtitles import parse_dialogue
from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import find_task
from assistant.training.examples import make_examples
from assistant.vqa.assistants import Assistant

UTTERANCE = {
    "utterance": "It's just a privilege\nto watch your mind at work.",
    "speaker": "SHELDON",
    "context": ["I never would have identified it.", "My apologies. What's your plan?"],
    "context_speakers": ["LEONARD", "SHELDON"],
    "show": "BBT",
    "sarcasm": True,
}
ASKED = "Pair with the past dialogue and video, is it sarcastic when <{}>?"
LAST = "It's just a privilege to watch your mind at work."


def mustard(folder: Path, count: int = 10, **changes: object) -> Path:
    """Items 1_0, 1_1 ...: every second one sarcastic, one in five from Friends; two folds."""
    data = {
        f"1_{place}": UTTERANCE
        | {"sarcasm": place % 2 == 0, "show": "BBT" if place % 5 else "FRIENDS"}
        for place in range(count)
    }
    data["1_1"] = data["1_1"] | changes
    write_json(folder / "sarcasm_data.json", data)
    halves = list(range(0, count, 2)), list(range(1, count, 2))
    folds = [{"train": halves[1], "test": halves[0]}, {"train": halves[0], "test": halves[1]}]
    write_json(folder / "splits_5fold.json", folds)
    return folder


def records_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_format_has_a_reader_and_says_where_it_comes_from(capsys):
    assert READERS.keys() == FORMATS.keys()
    assert main(["data", "convert", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(
        f"{form.holds}\n            from {form.origin}" in shown for form in FORMATS.values()
    )


def test_mustard(tmp_path):
    made = convert("mustard", mustard(tmp_path / "in"), tmp_path / "out")
    first, second, *_ = records_of(made.path)
    assert first["dialogue"][-1] == {"speaker": "SHELDON", "text": LAST}
    assert [first[key] for key in ("id", "video", "answer", "fold")] == ["1_0", None, "yes", 0]
    assert (second["answer"], second["fold"], "split" in second) == ("no", 1, False)
    assert read_items(made.path) == made.items
    assert "fold: 0 5, 1 5" in list(report(made))
    assert any("10 of 10 clips are missing (first 1_0.mp4)" in note for note in made.notes)


def test_mustards_splits(tmp_path):
    source = mustard(tmp_path / "in", 20)

    def split(out: str, **options: object) -> Counter:
        made = convert("mustard", source, tmp_path / out, **options)
        return Counter((item.split, item.answer) for item in made.items)

    paper = {("train", "yes"): 6, ("train", "no"): 6, ("dev", "yes"): 2, ("dev", "no"): 2}
    assert split("a", split="paper") == paper | {("test", "yes"): 2, ("test", "no"): 2}
    split("b", split="paper")
    split("c", split="paper", seed=1)
    data = [(tmp_path / out / "data.jsonl").read_bytes() for out in "abc"]
    assert data[0] == data[1] != data[2]
    assert split("d", split="independent") == {
        ("test", "yes"): 2, ("test", "no"): 2, ("train", "yes"): 8, ("train", "no"): 8
    }  # fmt: skip
    assert split("e", fold=1) == {("test", "no"): 10, ("train", "yes"): 10}


def test_mustards_clips_lie_anywhere_below_the_folder(tmp_path):
    clip = tmp_path / "out" / "clips" / "utterances_final" / "1_3.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"a clip")
    source, folder = mustard(tmp_path / "in"), tmp_path / "out" / "clips"
    made = convert("mustard", source, tmp_path / "out", clips=folder)
    videos = {record["id"]: record["video"] for record in records_of(made.path)}
    assert videos.pop("1_3") == "clips/utterances_final/1_3.mp4"
    assert set(videos.values()) == {None}
    assert any(note.startswith("9 of 10 clips are missing") for note in made.notes)
    dropped = convert("mustard", source, tmp_path / "few", clips=folder, missing="drop")
    assert [item.id for item in dropped.items] == ["1_3"]
    told = refused("mustard", source, tmp_path / "no", clips=folder, missing="error")
    assert "9 of 10 clips are not in" in told and "first 1_0.mp4" in told and "MUStARD" in told
    told = refused("mustard", source, tmp_path / "no", clips=source)
    assert "10 of 10 clips are not in" in told and told.endswith("or no --clips")
    assert "no folder" in refused("mustard", source, tmp_path / "no", clips=tmp_path / "none")


@pytest.mark.parametrize("speakers", [True, False])
def test_asking_and_converting_give_the_model_the_same_texts(tmp_path, speakers):
    made = convert("mustard", mustard(tmp_path / "in", 2), tmp_path / "out", speakers=speakers)
    model = ScriptedModel()
    [example, _] = make_examples(
        made.items, find_task("sarcasm"), model, None, {}, Recipe(task="sarcasm")
    )
    names = ("LEONARD: ", "SHELDON: ", "SHELDON: ") if speakers else ("", "", "")
    said = ("I never would have identified it.", "My apologies. What's your plan?", LAST)
    lines = [name + text for name, text in zip(names, said, strict=True)]
    assert example.shown.qformer_text == "\n".join([f"<{lines[-1]}>", *lines[:-1]])
    assert example.shown.prompt == ASKED.format(lines[-1])

    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    clip = make_clip(tmp_path / "clip.mp4", 10, fps=10)
    session = Assistant(model, FeatureStore(tmp_path / "features")).open(
        clip, frames=2, dialogue=tmp_path / "lines.txt"
    )
    for question in (None, "Was that sarcasm?"):
        session.clear()
        assert session.ask(question, task="sarcasm").text in ("yes", "no", "I cannot tell.")
        asked = model.asked[-1]
        assert (asked.qformer_text, asked.prompt) == (
            example.shown.qformer_text,
            example.shown.prompt,
        )
        blind = model.blind[-1]
        wanted = (example.shown.blind_qformer_text, example.shown.blind_prompt)
        assert (blind.qformer_text, blind.prompt) == wanted == ("<...>", ASKED.format("..."))


def test_without_fusion_the_dialogue_moves_into_the_prompt(tmp_path):
    made = convert("mustard", mustard(tmp_path / "in", 2), tmp_path / "out")
    recipe = Recipe(task="sarcasm", without=("fusion",))
    example, _ = make_examples(made.items, find_task("sarcasm"), ScriptedModel(), None, {}, recipe)
    told = example.shown.prompt.splitlines()
    assert example.shown.qformer_text == ""
    assert told[0] == f"<SHELDON: {LAST}>"
    assert told[1] == "LEONARD: I never would have identified it."
    assert told[-1] == ASKED.format(f"SHELDON: {LAST}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"utterance": " "}, "'1_1': the utterance is ' '; wanted a text"),
        ({"context": ["", "b"]}, "'1_1': a line of the context is ''"),
        ({"context": ["a"]}, "context and context_speakers are not lists of one length"),
        ({"speaker": None}, "'1_1': a speaker is None"),
        ({"sarcasm": "maybe"}, "'1_1': the label sarcasm is 'maybe'; wanted true, false"),
    ],
)
def test_a_wrong_utterance_is_named(tmp_path, changes, said):
    assert said in refused("mustard", mustard(tmp_path / "in", **changes), tmp_path / "out")


def test_wrong_folds_are_named(tmp_path):
    source, out = mustard(tmp_path / "in", 4), tmp_path / "out"
    assert "fold is 2; choose 0 to 1" in refused("mustard", source, out, fold=2)
    assert "give 0 or more" in refused("mustard", source, out, fold=-1)
    assert "fold is 1 with the split paper" in refused(
        "mustard", source, out, fold=1, split="paper"
    )
    for folds, said in (
        ([{"train": [0], "test": [4]}], "fold 0 names the item 4; sarcasm_data.json holds the 4"),
        ([{"train": [0], "test": ["1"]}], "fold 0 names the item '1'"),
        ([{"train": [0, 1], "test": [3]}], "does not train on all that it does not test"),
        ([{"train": [0, 1], "test": [2, 3]}], "do not test each of 4 items once"),
        ([{"train": 5}], "fold 0 is no pair of lists"),
        ({}, "holds no folds"),
    ):
        write_json(source / "splits_5fold.json", folds)
        assert said in refused("mustard", source, out)
    (source / "splits_5fold.json").unlink()
    told = refused("mustard", source, out)
    assert "holds no splits_5fold.json or split_indices.p: get it from the MUStARD" in told
    assert len(convert("mustard", source, out, split="paper").items) == 4


def test_two_items_with_one_id_are_named(tmp_path):
    source, out = mustard(tmp_path / "in"), tmp_path / "out"
    one = json.dumps(UTTERANCE)
    (source / "sarcasm_data.json").write_text(f'{{"1_0": {one}, "1_0": {one}}}')
    assert "'1_0' is there twice" in refused("mustard", source, out)
    items = [{"id": "7", "humor": 1, "context": [], "punchline": "Ha."}] * 2
    write_json(tmp_path / "few" / "items.json", items)
    assert "two items have the id '7'" in refused("urfunny", tmp_path / "few", out)


def test_an_option_that_is_not_the_formats_is_named(tmp_path):
    source, out = mustard(tmp_path / "in"), tmp_path / "out"
    assert "no format is called 'mustrad'" in refused("mustrad", source, out)
    assert "has no split 'dev'; choose folds, paper" in refused("mustard", source, out, split="dev")
    assert "urfunny does not take seed" in refused("urfunny", source, out, seed=1)
    assert "is not there; mustard comes from" in refused("mustard", tmp_path / "none", out)
    convert("mustard", source, out)
    before = (out / "data.jsonl").read_bytes()
    with pytest.raises(InputError, match="is there already"):
        convert("mustard", source, out, split="paper")
    assert (out / "data.jsonl").read_bytes() == before


def test_the_command_prints_a_report_or_one_line(tmp_path, capsys):
    source, out = str(mustard(tmp_path / "in")), str(tmp_path / "out")
    assert main(["data", "convert", "mustard", source, out, "--split", "paper"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"wrote {tmp_path / 'out' / 'data.jsonl'}"
    assert "test: 2 (no 1, yes 1)" in [line.replace("yes 1, no 1", "no 1, yes 1") for line in shown]
    assert main(["data", "check", f"{out}/data.jsonl"]) == 0
    capsys.readouterr()
    assert main(["data", "convert", "mustard", source, f"{out}2", "--fold", "9"]) == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["assistant: fold is 9; choose 0 to 1"] and not shown.out


def test_a_few_items_of_urfunny(tmp_path):
    items = [
        {"id": "5260", "humor": 1, "context": ["so this is", "the mouse"], "punchline": "a straw"},
        {"id": "8019", "humor": 0, "context": [], "punchline": "it was clean water"},
    ]
    write_json(tmp_path / "in" / "items.json", items)
    (tmp_path / "in" / "5260.mp4").write_bytes(b"a clip")
    made = convert("urfunny", tmp_path / "in", tmp_path / "out")
    assert [item.answer for item in made.items] == ["yes", "no"]
    assert [line.as_text() for line in made.items[0].dialogue.lines] == [
        "so this is",
        "the mouse",
        "a straw",
    ]
    assert made.items[0].video == tmp_path / "in" / "5260.mp4" and made.items[1].video is None
    write_json(tmp_path / "in" / "items.json", [items[0] | {"humor": 2}])
    told = refused("urfunny", tmp_path / "in", tmp_path / "no")
    assert "item '5260': the label is 2; wanted 1 (humorous) or 0" in told


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_short_texts_are_split_once_and_evenly(tmp_path, suffix):
    texts = [(f"joke number {n}", n % 2 == 0) for n in range(40)]
    texts += [("Joke, number 3!", False), ("Both.", True), ("both", False)]
    path = tmp_path / f"texts{suffix}"
    if suffix == ".csv":
        path.write_text("text,humor\n" + "".join(f'"{text}",{label}\n' for text, label in texts))
    else:
        rows = [json.dumps({"text": text, "humor": label}) for text, label in texts]
        path.write_text("\n".join(rows) + "\n")
    made = convert("texts", path, tmp_path / "out")
    assert Counter((item.split, item.answer) for item in made.items) == {
        (split, answer): count
        for split, count in (("train", 16), ("dev", 2), ("test", 2))
        for answer in ("yes", "no")
    }
    assert made.notes == [
        "43 texts were read, 2 of them again",
        "1 texts had both labels and were left out",
    ]
    assert made.items[0].dialogue.as_text() == "joke number 0"
    other = convert("texts", path, tmp_path / "other", seed=1)
    assert [item.split for item in other.items] != [item.split for item in made.items]


def test_what_was_said_before_a_text_comes_before_it(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("text,context,sarcasm\nNice.,How is it? / Wet.,1\nNice.,,0\n")
    first, second = convert("texts", path, tmp_path / "out").items
    assert first.dialogue.as_text() == "How is it?\nWet.\nNice." and first.answer == "yes"
    assert second.dialogue.as_text() == "Nice." and second.answer == "no"
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a", "context": ["b"], "humor": 1}\n')
    assert "line 1: context is ['b']; wanted turns" in refused("texts", path, tmp_path / "no")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,humor\na,True\n ,False\n", "line 3: text is ' '; wanted a text"),
        ("text,humor\na,perhaps\n", "line 2: humor is 'perhaps'; wanted true or false"),
        ("text,label\na,1\n", "line 2 has text, label; wanted text and humor or sarcasm"),
        ("text,humor\na, b,1\n", "line 2 has text, humor, None; wanted text and humor"),
        ('text,humor\n"a" b,1\n', "cannot be read ("),
        ("text,humor\n", "holds no example"),
    ],
)
def test_a_wrong_table_of_texts_is_one_line(tmp_path, content, said):
    (tmp_path / "texts.csv").write_text(content)
    assert said in refused("texts", tmp_path / "texts.csv", tmp_path / "out")


def laughs(path, rows):
    told = "".join(f'"{text}","{before}",{label},{show}\n' for text, before, label, show in rows)
    path.write_text("text,context,label,source\n" + told)
    return path


def test_a_show_that_is_held_out_is_the_test_and_scenes_stay_whole(tmp_path):
    rows = [
        (f"reply {n}", f"the turn number {n // 2} is long / yes", n % 2, f"laugh/{show}")
        for show in ("one", "two")
        for n in range(40)
    ]
    path = laughs(tmp_path / "laughs.csv", rows)
    made = convert("laughs", path, tmp_path / "out", hold_out="two")
    splits = [item.split for item in made.items]
    assert Counter(splits[:40]) == {"dev": 4, "train": 36}
    assert splits[40:] == ["test"] * 40
    assert splits[:40:2] == splits[1:40:2]  # those that share a turn
    assert made.items[3].dialogue.as_text() == "the turn number 1 is long\nyes\nreply 3"
    assert made.items[3].answer == "yes"
    assert made.notes == ["40 scenes share no line"]
    mixed = convert("laughs", path, tmp_path / "mixed")
    assert Counter(item.split for item in mixed.items) == {"test": 8, "dev": 8, "train": 64}


def test_a_wrong_table_of_laughs_is_one_line(tmp_path):
    path = laughs(tmp_path / "laughs.csv", [("a", "b", "maybe", "laugh/one")])
    assert "line 2: label is 'maybe'; wanted 1 (a laugh) or 0" in refused(
        "laughs", path, tmp_path / "out"
    )
    laughs(path, [("a", "b", 1, "laugh/one")])
    assert "no show is called 'two'; choose one" in refused(
        "laughs", path, tmp_path / "out", hold_out="two"
    )
    path.write_text("text,label\na,1\n")
    assert "line 2 has text, label; wanted text, context, label, source" in refused(
        "laughs", path, tmp_path / "out"
    )
    (tmp_path / "texts.csv").write_text("text,humor\na,True\n")
    assert "texts does not take hold_out" in refused(
        "texts", tmp_path / "texts.csv", tmp_path / "out", hold_out="one"
    )


def test_the_real_mustard(tmp_path):
    source = real("mustard")
    made = convert("mustard", source, tmp_path / "folds")
    assert Counter(item.answer for item in made.items) == {"yes": 345, "no": 345}
    assert Counter(item.fold for item in made.items) == dict.fromkeys(range(5), 138)
    for item in made.items:  # typed into a file, its lines are the same
        assert parse_dialogue(item.dialogue.as_text()).as_text() == item.dialogue.as_text()
    paper = convert("mustard", source, tmp_path / "paper", split="paper")
    assert Counter((item.split, item.answer) for item in paper.items) == {
        (split, answer): count
        for split, count in (("train", 207), ("dev", 69), ("test", 69))
        for answer in ("yes", "no")
    }
    alone = convert("mustard", source, tmp_path / "alone", split="independent", speakers=False)
    assert Counter(item.split for item in alone.items) == {"test": 356, "train": 334}
    assert not any(line.speaker for item in alone.items for line in item.dialogue.lines)


def test_the_real_clips_of_urfunny(tmp_path):
    made = convert("urfunny", real("urfunny"), tmp_path / "out")
    assert Counter(item.answer for item in made.items) == {"yes": 2, "no": 2}
    assert all(item.video is not None and item.dialogue for item in made.items)
    assert made.notes == []


def test_the_real_short_texts(tmp_path):
    made = convert("texts", real("humor/short_texts.csv"), tmp_path / "out")
    assert Counter(item.split for item in made.items) == {
        "train": 28695,
        "dev": 3586,
        "test": 3586,
    }
    assert len({item.dialogue.as_text().casefold() for item in made.items}) == len(made.items)
