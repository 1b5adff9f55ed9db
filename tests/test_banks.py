"""Description banks: shipped, read, checked, asked for by label, and written by a server."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from chat_server import Reply, says, serving

from assistant.actions.bank import (
    Bank,
    Described,
    bare_bank,
    key,
    parse_bank,
    problems,
    read_bank,
    read_label_file,
    readable,
    shipped_banks,
    words_of,
)
from assistant.actions.bank_writing import action_in, bank_text, words_in
from assistant.cli.main import main
from assistant.errors import ConfigError, InputError

LONG = (
    "On a wide lawn somebody stands sideways and aims an arrow from a drawn bow at a round target."
)
ARCHERY = Described(
    "archery",
    ("bow", "arrow", "target"),
    ("A hand draws the string of a bow back.", "Three arrows stick in a round straw disc."),
    LONG,
)
ROWING = Described(
    "rowing",
    ("oars", "boat"),
    ("Eight people in a boat bend forward.", "A long oar dips into a calm lake."),
    "A narrow boat with several people in a row glides over a lake, all oars at the same angle.",
)
SIZES = {
    "clips_named": 57,
    "fight300": 2,
    "hmdb51": 51,
    "kinetics400": 400,
    "motion": 16,
    "sports22": 22,
    "ucf101": 101,
}


def bank_file(folder: Path, *actions: Described) -> Path:
    path = folder / "own.yaml"
    path.write_text(bank_text(Bank("own", actions)))
    return path


# sha256 of the official class lists, as letters and digits alone, sorted
OFFICIAL = {
    "hmdb51": "0f26c4be54634b54",
    "kinetics400": "107094c33ef4ec0a",
    "ucf101": "ba5efe3c836f22f5",
}


class TestShipped:
    @pytest.mark.parametrize("name", shipped_banks())
    def test_every_rule_is_kept(self, name: str):
        bank = read_bank(name)
        for action in bank.actions:
            assert 3 <= len(action.words) <= 5, action.label
            assert len(action.sentences) == 4, action.label
            assert len(action.texts) == 6
            assert all(8 <= len(words_of(text)) <= 20 for text in action.sentences), action.label
            assert readable(action.label) == action.label

    def test_none_is_missing(self):
        assert {name: len(read_bank(name).actions) for name in SIZES} == SIZES

    @pytest.mark.parametrize("name", OFFICIAL)
    def test_labels_are_the_official_ones(self, name: str):
        told = "\n".join(sorted(map(key, read_bank(name).labels)))
        assert hashlib.sha256(told.encode()).hexdigest()[:16] == OFFICIAL[name]

    def test_official_names_are_found(self):
        wanted = ["YoYo", "HandstandPushups", "HandStandPushups", "ApplyEyeMakeup", "TaiChi"]
        found = [read_bank("ucf101").of([label]).labels[0] for label in wanted]
        assert found == [
            "yo yo",
            "handstand pushups",
            "handstand pushups",
            "apply eye makeup",
            "tai chi",
        ]
        assert read_bank("hmdb51").of(["brush_hair", "shoot_bow"]).labels[1] == "shoot bow"

    def test_no_sentence_is_in_two_of_them(self):
        said: dict[str, str] = {}
        for name in shipped_banks():
            for action in read_bank(name).actions:
                for text in action.texts[1:]:
                    assert said.setdefault(text, name) == name, text


class TestReading:
    def test_a_written_one_is_read_back(self, tmp_path):
        bank = read_bank(bank_file(tmp_path, ARCHERY, ROWING))
        assert bank == Bank("own", (ARCHERY, ROWING))
        assert bank.actions[0].texts == ("archery", *ARCHERY.sentences, LONG)

    def test_labels_are_asked_for_in_any_spelling_and_order(self):
        bank = Bank("own", (ARCHERY, Described("boat rowing", ROWING.words)))
        assert bank.of(["BoatRowing", "Archery"]).labels == ("boat rowing", "archery")
        assert bank.of(["boat_rowing"]).actions == bank.actions[1:]

    def test_a_label_that_is_not_there(self):
        bank = Bank("own", (ARCHERY,))
        with pytest.raises(InputError, match="own does not describe 'flying', 'b'; add"):
            bank.of(["archery", "flying", "b"])
        bare = bank.of(["WriteOnBoard", "archery"], bare=True)
        assert bare.actions == (Described("write on board"), ARCHERY)
        assert bare.actions[0].texts == ("write on board",)

    @pytest.mark.parametrize("labels", [["a b", "AB"], ["run", "run"]])
    def test_two_spellings_are_one_label(self, labels):
        with pytest.raises(InputError, match="are one label; leave one out"):
            bare_bank(labels)

    @pytest.mark.parametrize("label", ["", "?!", "x" * 201])
    def test_what_is_no_label(self, label):
        with pytest.raises(InputError, match="is no label"):
            bare_bank([label])

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("- archery", "holds no actions"),
            ("actions: {}", "holds no actions"),
            ("actions: [archery]", "no mapping"),
            ("actions: {archery: [bow]}", "wanted words, sentences and long"),
            ("actions: {archery: {label: x}}", "wanted words, sentences and long"),
            ("actions: {archery: {words: bow}}", "words is 'bow', wanted"),
            ("actions: {archery: {words: [1]}}", r"words\[0\] is 1, wanted str"),
            ("actions: {archery: {name: x}}", "unknown key 'name'"),
            ("actions: {no: {words: [bow]}}", "put it in quotes"),
            ("actions: {archery: {words: [bow]}}\nmore: 1", "holds no actions"),
            ("actions: {archery: {words: [bow]}}", "has 1 words; give 2 to 8 .and 2 more.; mend"),
            ("actions: {", "is not YAML"),
            ("actions:\n  a: {words: [x]}\n  a: {words: [y]}", "key 'a' is there twice"),
            ("actions: &all {a: *all}", "unknown key 'a'"),
            ("actions:\n  a: {words: [x], words: [y]}", "key 'words' is there twice"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, text, told, tmp_path):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=told) as caught:
            read_bank(path)
        assert "\n" not in str(caught.value)

    def test_neither_a_name_nor_a_file(self):
        with pytest.raises(InputError, match=r"no-such is no bank and no file.*clips_named"):
            read_bank("no-such")

    def test_class_lists(self, tmp_path):
        path = tmp_path / "classInd.txt"
        path.write_text("1 ApplyEyeMakeup\r\n2 YoYo\r\n\r\n")
        assert read_label_file(path) == ("apply eye makeup", "yo yo")
        path.write_text("brush_hair\n3 point shot\n")
        assert read_label_file(path) == ("brush hair", "3 point shot")
        path.write_text("\n")
        with pytest.raises(InputError, match="holds no label"):
            read_label_file(path)
        path.write_bytes(b"\xff\xfe\xfd")
        with pytest.raises(InputError, match="no UTF-8 text"):
            read_label_file(path)


class TestRules:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"sentences": ARCHERY.sentences[:1]}, "has 1 sentences; give 2 to 16"),
            ({"words": ("bow",)}, "has 1 words; give 2 to 8"),
            ({"words": ("bow", "")}, "has an empty key word"),
            ({"long": ""}, "no long description"),
            ({"sentences": ("A bow.", ARCHERY.sentences[1])}, "has 2 words; give 5 to 25"),
            ({"long": "A bow and an arrow."}, "has 5 words; give 12 to 60"),
            ({"sentences": (ARCHERY.sentences[0],) * 2}, "is said of 'archery' already"),
            ({"sentences": (ARCHERY.sentences[0], ROWING.sentences[1])}, "none of its key words"),
            (
                {"sentences": (ARCHERY.sentences[0], "After Rowing they take a bow home.")},
                "names another action, 'rowing'",
            ),
        ],
    )
    def test_each_is_told(self, change, told):
        action = Described(**(vars(ARCHERY) | change))
        wrong = list(problems(Bank("own", (action, ROWING))))
        assert len([line for line in wrong if told in line and line.startswith("archery: ")]) == 1

    def test_the_same_sentence_of_two_actions(self):
        double = Described("shooting", ("bow", "boat", "oar"), ROWING.sentences, LONG)
        wrong = list(problems(Bank("own", (ARCHERY, ROWING, double))))
        assert [line.partition(": ")[0] for line in wrong] == ["shooting"] * 3

    def test_a_label_may_be_part_of_the_own_one_and_of_a_longer_word(self):
        plain = Described("draw", ("hand",), ("A hand is drawing on paper here.",))
        action = Described("draw a bow", ARCHERY.words, ("They draw a bow on the lawn.",), LONG)
        wrong = [line for line in problems(Bank("own", (plain, action))) if "another" in line]
        assert wrong == []

    @pytest.mark.parametrize("word", ["dribble", "dribbles", "dribbling", "dribbled"])
    def test_key_words_are_inflected(self, word):
        action = Described("x", (word, "nothing"), ("She is dribbling past a tall man.",))
        assert not any("key words" in line for line in problems(Bank("own", (action,))))


class TestCommand:
    def test_shipped_ones_are_listed(self, capsys):
        assert main(["data", "bank"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(shipped_banks())
        assert "2 actions: no fight, people fighting" in next(x for x in lines if "fight300" in x)

    def test_one_is_shown(self, tmp_path, capsys):
        path, labels = bank_file(tmp_path, ARCHERY, ROWING), tmp_path / "labels.txt"
        labels.write_text("Rowing\n")
        assert main(["data", "bank", str(path), "--labels", str(labels)]) == 0
        told = capsys.readouterr().out
        assert told.startswith("rowing: oars, boat\n  Eight people")
        assert told.endswith("own: 1 actions, 2 sentences\n")

    def test_every_broken_rule_is_named(self, tmp_path, capsys):
        path = bank_file(tmp_path, ARCHERY, Described("rowing", ("oar",), ("An oar.",)))
        assert main(["data", "bank", str(path), "--check"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1 + 4
        assert main(["data", "bank", str(bank_file(tmp_path, ARCHERY)), "--check"]) == 0

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--check"], "which bank is not said"),
            (["new.yaml", "--endpoint", "http://localhost:1/v1"], "give --labels FILE"),
            (["new.yaml", "--labels", "labels.txt", "--llm-name", "x"], "give --llm, too"),
            (["new.txt", "--labels", "labels.txt", "--llm", "http://x/v1"], "ends in .yaml"),
            (["ucf101", "--labels", "labels.txt", "--llm", "http://x/v1"], "ends in .yaml"),
            (["a/new.yaml", "--labels", "labels.txt", "--llm", "http://x/v1"], "folder is not"),
            (["ucf101", "--labels", "labels.txt"], "does not describe 'flying'"),
        ],
    )
    def test_mistakes(self, options, told, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("labels.txt").write_text("flying\n")
        assert main(["data", "bank", *options]) == 2
        assert told in capsys.readouterr().err


def replies(action: Described) -> list[list[str]]:
    """As a model gives it, with what models put around."""
    lines = [f"{n}. {text}" for n, text in enumerate(action.sentences, 1)]
    return [
        says(", ".join(word.title() for word in action.words) + "."),
        says("\n".join([*lines, "", f"**Long:** {action.long}"])),
    ]


class TestWriting:
    def test_replies_are_read(self):
        assert words_in("- Bow\n- arrow\n* target.") == ("bow", "arrow", "target")
        assert words_in("bow, Arrow; bow") == ("bow", "arrow")
        told = "1) A bow.\n\n- 'An arrow.'\nLong: On a\tlawn."
        assert action_in("x", ("bow",), told) == Described(
            "x", ("bow",), ("A bow.", "An arrow."), "On a lawn."
        )

    def command(self, folder: Path, address: str) -> int:
        (folder / "labels.txt").write_text("Archery\nrowing\n")
        out, labels = str(folder / "new.yaml"), str(folder / "labels.txt")
        return main(["data", "bank", out, "--labels", labels, "--endpoint", address])

    def test_decompose_then_expand(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ASSISTANT_LLM_KEY", "secret")
        with serving(*replies(ARCHERY), *replies(ROWING)) as server:
            assert self.command(tmp_path, server.address) == 0
        assert read_bank(tmp_path / "new.yaml") == Bank("new", (ARCHERY, ROWING))
        first, second, *_ = [body["messages"] for body in server.heard]
        assert "archery" in first[-1]["content"] and "rowing" in first[-1]["content"]
        assert "bow, arrow, target" in second[-1]["content"]
        assert len(server.heard) == 4
        assert server.headers[0]["authorization"] == "Bearer secret"

    def test_it_goes_on_where_it_was_stopped(self, tmp_path, capsys):
        broken = Reply(["no"], 500, "text/plain")
        with serving(*replies(ARCHERY), broken) as server:
            assert self.command(tmp_path, server.address) == 2
        assert parse_bank(tmp_path / "new.yaml").labels == ("archery",)
        with serving(*replies(ROWING)) as server:
            assert self.command(tmp_path, server.address) == 0
        assert len(server.heard) == 2
        assert read_bank(tmp_path / "new.yaml").labels == ("archery", "rowing")

    def test_a_reply_against_the_rules_is_asked_for_again_once(self, tmp_path):
        poor = says("1. A bow.\n2. Something else is here at last.")
        words, good = replies(ARCHERY)
        with serving(words, poor, good, *replies(ROWING)) as server:
            assert self.command(tmp_path, server.address) == 0
        again = server.heard[2]["messages"][-1]["content"]
        assert "'A bow.' has 2 words; give 5 to 25" in again
        assert "no long description" in again
        assert read_bank(tmp_path / "new.yaml").actions == (ARCHERY, ROWING)

    def test_one_that_stays_wrong_is_named_and_the_others_are_written(self, tmp_path, capsys):
        poor, (words, _) = says("A bow."), replies(ARCHERY)
        with serving(words, poor, poor, *replies(ROWING)) as server:
            assert self.command(tmp_path, server.address) == 2
        told = capsys.readouterr().err
        assert "twice described 'archery' against the rules (archery: has 1 sentences" in told
        assert "1 actions are in" in told
        assert parse_bank(tmp_path / "new.yaml").labels == ("rowing",)

    def test_a_file_that_cannot_be_written(self, tmp_path, capsys):
        (tmp_path / ".new.yaml.part").mkdir()
        with serving(*replies(ARCHERY)) as server:
            assert self.command(tmp_path, server.address) == 2
        assert "new.yaml: cannot be written" in capsys.readouterr().err

    def test_what_is_there_is_no_bank(self, tmp_path, capsys):
        (tmp_path / "new.yaml").write_text(yaml.safe_dump({"other": 1}))
        with serving(says("x")) as server:
            assert self.command(tmp_path, server.address) == 2
        assert not server.heard
        assert yaml.safe_load((tmp_path / "new.yaml").read_text()) == {"other": 1}
