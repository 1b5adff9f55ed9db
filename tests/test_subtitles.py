"""Dialogue in: every format, every encoding, and what is wrong with a file said in one line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from clips import ffmpeg, make_clip

from assistant.dialogue.subtitles import (
    Dialogue,
    Line,
    find_dialogue,
    parse_dialogue,
    read_dialogue,
)
from assistant.errors import DialogueError

SRT = """1
00:00:01,000 --> 00:00:02,500
SHELDON: <i>Bazinga</i>,
{\\an8}I say.

2
00:00:02,000 --> 00:00:04,000
- Really?
- Really.

3
00:00:05,000 --> 00:00:06,000

4
01:00:00,250 --> 01:00:01,000
The end &amp; more
"""
VTT = """WEBVTT - a talk

STYLE
::cue { color: red }

NOTE nobody says this

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Sheldon Cooper>Bazinga, <c.loud>I say.</c>

NOTE nor this

second
00:02.000 --> 00:04.000
<v.quiet Penny>Really?
<v Leonard>Really.
"""
ASS_HEAD = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Style: Default,Arial,twenty,&HZZ,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
ASS_SAID = "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{}\n"
ASS = (
    ASS_HEAD
    + "Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not said\n"
    + "Dialogue: 0,0:00:02.00,0:00:04.00,Default,,0,0,0,,Really,\\Nreally?\n"
    + "Dialogue: 0,0:00:01.00,0:00:02.50,Default,SHELDON,0,0,0,,{\\i1}Bazinga{\\i0}, I say.\n"
    + "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}\n"
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path) -> str:
    """The message of the DialogueError that reading ``path`` raises."""
    with pytest.raises(DialogueError) as caught:
        read_dialogue(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_srt_gives_lines_with_speakers_times_and_no_markup(tmp_path: Path) -> None:
    dialogue = read_dialogue(write(tmp_path, "clip.srt", SRT))
    assert dialogue.source == "file:clip.srt"
    assert dialogue.warnings == ()
    assert dialogue.lines == (
        Line("Bazinga, I say.", "SHELDON", 1.0, 2.5),
        Line("Really?", None, 2.0, 4.0),
        Line("Really.", None, 2.0, 4.0),
        Line("The end & more", None, 3600.25, 3601.0),
    )
    assert dialogue.as_text().splitlines()[0] == "SHELDON: Bazinga, I say."


def test_vtt_voices_are_speakers_and_notes_are_not_said(tmp_path: Path) -> None:
    assert read_dialogue(write(tmp_path, "a.vtt", VTT)).lines == (
        Line("Bazinga, I say.", "Sheldon Cooper", 1.0, 2.5),
        Line("Really?", "Penny", 2.0, 4.0),
        Line("Really.", "Leonard", 2.0, 4.0),
    )


def test_a_part_of_a_stream_says_so(tmp_path: Path) -> None:
    for ticks, told in ((0, ()), (900000, ("second 10 of a stream",))):
        mapped = f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{ticks}\n"
        found = read_dialogue(write(tmp_path, "a.vtt", VTT.replace("WEBVTT - a talk\n", mapped)))
        assert [line.start for line in found.lines] == [1.0, 2.0, 2.0]
        assert len(found.warnings) == len(told)
        assert all(say in note for say, note in zip(told, found.warnings, strict=True))


def test_automatic_captions_that_roll_up_are_read_once(tmp_path: Path) -> None:
    rolling = (
        "WEBVTT\n\n00:00.000 --> 00:02.000\n \nall<00:00:00.500><c> right</c>\n\n"
        "00:02.000 --> 00:02.010\nall right\n \n\n"
        "00:02.010 --> 00:04.000\nall right\nso<00:00:02.500><c> today</c><00:00:03.000>\n"
    )
    lines = read_dialogue(write(tmp_path, "a.vtt", rolling)).lines
    assert [(line.text, line.start) for line in lines] == [
        ("all right", 0.0),
        ("so today", 2.01),
    ]


@pytest.mark.parametrize(
    "shown",
    [
        [
            "\ngood morning",
            "good morning",
            "good morning\nto sir",
            "to sir",
            "to sir\n<b>no no</b>",
        ],
        ["good morning\nto sir", "to sir\nno no"],
        ["<u>good</u> morning", "good <u>morning</u>", "<u>to</u> sir", "to <u>sir</u>", "no no"],
    ],
)
def test_captions_that_roll_up_or_mark_their_words_are_said_once(
    tmp_path: Path, shown: list[str]
) -> None:
    cues = (f"{n}\n00:00:0{n},000 --> 00:00:0{n},990\n{text}" for n, text in enumerate(shown))
    lines = read_dialogue(write(tmp_path, "a.srt", "\n\n".join(cues))).lines
    assert " ".join(line.text for line in lines) == "good morning to sir no no"


def test_what_is_said_again_stays(tmp_path: Path) -> None:
    cues = (f"{n}\n00:00:0{n},000 --> 00:00:0{n},990\nNo." for n in range(3))
    assert len(read_dialogue(write(tmp_path, "a.srt", "\n\n".join(cues))).lines) == 3


GOOD = "7\n00:00:04,000 --> 00:00:05,000\nBOB: Fine.\n"


@pytest.mark.parametrize(
    "odd",
    [
        "1:2:3",
        "-00:00:01,000 --> 00:00:03,000",
        "-1:58:00,300 --> -1:58:03,540",
        "01:00 -> 01:02",
        "00:00:01,000 --> 00:00:19werwer,580",
        "00:00:xx --> 00:00:03,000",
        "00:01:02,12345 --> x",
    ],
)
def test_one_odd_cue_is_skipped_and_counted(tmp_path: Path, odd: str) -> None:
    found = read_dialogue(write(tmp_path, "a.srt", f"6\n{odd}\nANN: Odd.\n\n{GOOD}"))
    assert found.lines == (Line("Fine.", "BOB", 4.0, 5.0),)
    assert found.warnings == (f"skipped 1 of 2 cues: a.srt, line 2: '{odd}' is no cue",)
    for name, content in {
        "a.ass": ASS_HEAD + "Dialogue: 0,-0:00:01.00,0:00:03.00,A,,0,0,0,,Odd\n" + ASS_SAID,
        "a.sub": "{1}{1}25.0\n{25}Odd\n{25}{50}{}\n",
    }.items():
        found = read_dialogue(write(tmp_path, name, content.replace("{}", "Fine.")))
        assert [line.text for line in found.lines] == ["Fine."]
        assert "skipped 1 of 2 cues" in found.warnings[0]


@pytest.mark.parametrize(
    ("times", "shown", "start", "said"),
    [
        ("00:00:01 --> 00:00:03", "Whole seconds", 1.0, "Whole seconds"),
        ("00:00:01,1000 --> 00:00:03,000", "Rounded up", 2.0, "Rounded up"),
        ("0:00:1.5-->0:00:3.5", "Short", 1.5, "Short"),
        ("100:00:01,000 --> 100:00:03,000 X1:40 X2:600", "Late", 360001.0, "Late"),
        ("00:00:01,000 --> 00:00:03,000", "Step 1 --> 2 now", 1.0, "Step 1 --> 2 now"),
        ("00:00:01,000 --> 00:00:03,000", "I bet\n\n20\nthousand", 1.0, "I bet 20 thousand"),
        ("00:00:01,000 --> 00:00:03,000", "\n1984\n", 1.0, "1984"),
    ],
)
def test_unusual_cues_are_read(
    tmp_path: Path, times: str, shown: str, start: float, said: str
) -> None:
    found = read_dialogue(write(tmp_path, "a.srt", f"6\n{times}\n{shown}\n\n{GOOD}"))
    assert {(line.start, line.text) for line in found.lines} == {(start, said), (4.0, "Fine.")}
    assert found.warnings == ()


def test_drawings_without_their_tag_are_not_said(tmp_path: Path) -> None:
    drawn = ASS_SAID.format("m 0 0 l 716 -403 l 716 0 b 0 0 1.5 2 3 4")
    shown = ASS_HEAD + drawn + ASS_SAID.format("m and l are letters")
    found = read_dialogue(write(tmp_path, "a.ass", shown))
    assert [line.text for line in found.lines] == ["m and l are letters"]


@pytest.mark.parametrize(
    "shown",
    [
        r"{\an7\p1}m 0 0 l 100 0 100 50{\p0}Hello.",
        r"{\p1\pos(1,1)}m 0 0 l 9 9{\p0\i1}Hello.{\p2}m 0 0 b 1 2 3 4 5 6",
        r"m 0 0 l 716 -403 l 716 0 l 0 0\NHello.",
        r"Hello.\Nm 0 0 l 9 9 s",
        "m 0 0 l 9 9 Hello.",
    ],
)
def test_of_an_event_that_draws_what_is_said_is_read(
    clip: Path, tmp_path: Path, shown: str
) -> None:
    drawn = write(tmp_path, "a.ass", ASS_HEAD + ASS_SAID.format(shown))
    assert read_dialogue(drawn).as_text() == "Hello."
    ffmpeg("-i", clip, "-i", drawn, "-c:v", "copy", "-c:s", "copy", tmp_path / "talk.mkv")
    assert find_dialogue(tmp_path / "talk.mkv").as_text() == "Hello."


def test_of_a_large_file_of_signs_what_is_said_is_read(tmp_path: Path) -> None:
    signs = "".join(ASS_SAID.format("{\\an7\\pos(1,2)}CINEMA " + "x" * 1000) for _ in range(3000))
    fonts = "\n[Fonts]\nfontname: a.ttf\n" + "M" * 80 + ("\n" + "M" * 80) * 20_000
    content = ASS_HEAD + signs + ASS_SAID.format("{\\i1}Hello{\\i0} there.") + signs + fonts
    found = read_dialogue(write(tmp_path, "a.ass", content))
    assert [line.text for line in found.lines] == ["Hello there."]
    assert found.warnings == ("a.ass is large: its signs were not read",)


def test_segments_of_whisper_are_lines(tmp_path: Path) -> None:
    first = {"id": 0, "start": 1.0, "end": 2.5, "text": " Where to?", "words": [{"word": "Where"}]}
    other = {"text": " Home.", "speaker": "SPEAKER_01", "anything": 1}
    broken = {"start": 3.0, "end": 2.0, "text": "Odd"}
    whisper = {"text": " Where to? Home.", "segments": [first, other, broken], "language": "en"}
    found = read_dialogue(write(tmp_path, "a.json", json.dumps(whisper)))
    assert found.lines == (Line("Where to?", None, 1.0, 2.5), Line("Home.", "SPEAKER_01"))
    assert found.warnings == ("skipped 1 of 3 segments of a.json",)
    alone = read_dialogue(write(tmp_path, "b.json", json.dumps([first])))
    assert (alone.lines, alone.warnings) == (found.lines[:1], ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "start\tend\ttext\n1000\t2500\tWhere to?\n3000\t\tOdd\n2500\t4000\t Home.\n"),
        (
            "a.json3",
            '{"wireMagic": "pb3", "events": [{"tStartMs": 0, "dDurationMs": 9, "id": 1}, '
            '{"tStartMs": 1000, "dDurationMs": 1500, "segs": [{"utf8": "Where"}, '
            '{"utf8": " to?"}]}, '
            '{"tStartMs": 1500, "aAppend": 1, "segs": [{"utf8": "\\n"}]}, 7, '
            '{"tStartMs": 2500, "dDurationMs": 1500, "segs": [{"utf8": "Home."}]}]}',
        ),
        (
            "a.json",
            '{"transcription": [{"offsets": {"from": 1000, "to": 2500}, "text": " Where to?"}, {}, '
            '{"offsets": {"from": 2500, "to": 4000}, "text": " Home."}]}',
        ),
    ],
)
def test_what_transcribers_write_is_read(tmp_path: Path, name: str, content: str) -> None:
    found = read_dialogue(write(tmp_path, name, content))
    assert found.lines == (Line("Where to?", None, 1.0, 2.5), Line("Home.", None, 2.5, 4.0))
    assert "skipped 1 of" in found.warnings[0]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_turns_stand_in_lines_of_json_too(tmp_path: Path, name: str) -> None:
    lines = '{"speaker": "ANN", "text": "Hi."}\n\n{"text": "Bye."}\n'
    assert read_dialogue(write(tmp_path, name, lines)).as_text() == "ANN: Hi.\nBye."
    assert "turn 2: has no 'text'" in refused(write(tmp_path, name, '{"text": "a"}\n{"start": 1}'))


def test_ass_is_read_in_order_without_drawings_comments_and_broken_styles(tmp_path: Path) -> None:
    expected = (
        Line("Bazinga, I say.", "SHELDON", 1.0, 2.5),
        Line("Really, really?", None, 2.0, 4.0),
    )
    assert read_dialogue(write(tmp_path, "a.ass", ASS)).lines == expected
    ssa = ASS.replace("[V4+ Styles]", "[V4 Styles]").replace(": 0,", ": Marked=0,")
    assert read_dialogue(write(tmp_path, "a.ssa", ssa)).lines == expected


def test_sub_counts_frames(tmp_path: Path) -> None:
    sub = "{1}{1}25.0\n{25}{50}ANN: Hello|you\n"
    assert read_dialogue(write(tmp_path, "a.sub", sub)).lines == (
        Line("Hello you", "ANN", 1.0, 2.0),
    )
    assert "frame rate" in refused(write(tmp_path, "b.sub", "{25}{50}Hello\n"))


def test_plain_text_and_turns_say_the_same(tmp_path: Path) -> None:
    text = read_dialogue(write(tmp_path, "a.txt", "Ann Lee:  Hello   there.\n\nNo name: here\n"))
    turns = [{"speaker": "Ann Lee", "text": "Hello there."}, {"text": "No name: here"}]
    read = read_dialogue(write(tmp_path, "a.json", json.dumps(turns)))
    assert text.lines == read.lines == (Line("Hello there.", "Ann Lee"), Line("No name: here"))
    assert parse_dialogue(turns) == Dialogue(read.lines, "given")
    assert parse_dialogue("Ann Lee: Hello there.\nNo name: here") == parse_dialogue(turns)
    assert not parse_dialogue("")
    assert not parse_dialogue([])


def test_subtitles_under_a_wrong_name_are_read_as_what_they_are(tmp_path: Path) -> None:
    assert read_dialogue(write(tmp_path, "a.txt", SRT)).lines[0].start == 1.0
    assert read_dialogue(write(tmp_path, "a.srt", VTT)).lines[0].speaker == "Sheldon Cooper"
    assert parse_dialogue(SRT).lines[0] == Line("Bazinga, I say.", "SHELDON", 1.0, 2.5)


@pytest.mark.parametrize(
    ("said", "speaker", "text"),
    [
        ("SHELDON: Hi.", "SHELDON", "Hi."),
        ("Dr. Cooper: Hi.", "Dr. Cooper", "Hi."),
        ("PERSON2: Hi: you.", "PERSON2", "Hi: you."),
        ("Élodie: Oui.", "Élodie", "Oui."),
        ("I have to say: no.", None, "I have to say: no."),
        ("At 10:30 we go.", None, "At 10:30 we go."),
        ("see http://a.b", None, "see http://a.b"),
        ("10: a number", None, "10: a number"),
        ("SHELDON:", None, "SHELDON:"),
    ],
)
def test_who_speaks(said: str, speaker: str | None, text: str) -> None:
    assert parse_dialogue(said).lines == (Line(text, speaker),)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("a well-known X-ray", ["a well-known X-ray"]),
        ("Co-op e-mail >> Save", ["Co-op e-mail >> Save"]),
        ("- He was -- well - late.", ["He was -- well - late."]),
        ("-5 degrees", ["-5 degrees"]),
        ("THAT LIGHT -->> THEY WILL", ["THAT LIGHT -->> THEY WILL"]),
        ("- Hello. - Bye.", ["Hello.", "Bye."]),
        ("-Hello! -Bye.", ["Hello!", "Bye."]),
        (">> Hello. >> Bye.", ["Hello.", "Bye."]),
        ("Hello. - BOB: Bye.", ["Hello.", "BOB: Bye."]),
        ("ANN: - Hello. - Bye.", ["ANN: Hello.", "Bye."]),
        ("Mr. - uh - Smith", ["Mr. - uh - Smith"]),
        ("- 5 apples.\n- A T-shirt?", ["5 apples.", "A T-shirt?"]),
    ],
)
def test_a_dash_opens_a_turn_only_where_one_begins(
    tmp_path: Path, shown: str, said: list[str]
) -> None:
    for name, content in {
        "a.srt": f"1\n00:00:01,000 --> 00:00:02,000\n{shown}\n",
        "a.vtt": f"WEBVTT\n\n00:01.000 --> 00:02.000\n{shown}\n",
        "a.ass": ASS_HEAD + ASS_SAID.format(shown.replace("\n", "\\N")),
    }.items():
        lines = read_dialogue(write(tmp_path, name, content)).lines
        assert [line.as_text() for line in lines] == said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_unicode_encodings(tmp_path: Path, encoding: str, newline: str) -> None:
    text = SRT.replace("Bazinga", "Bäzingą €").replace("\n", newline)
    dialogue = read_dialogue(write(tmp_path, "a.srt", text.encode(encoding)))
    assert dialogue.lines[0].text == "Bäzingą €, I say."
    assert dialogue.warnings == ()


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("cp1252", "Où est le café ? À côté de la gare – voilà…"),  # noqa: RUF001
        ("cp1252", "Größe über alles, schön!"),
        ("cp1250", "Łukasz, gdzie jest taksówka? Już jedzie, jestem zmęczony."),
        ("cp1251", "Где вокзал? Там, за углом."),
        ("cp1253", "Καλημέρα, τι κάνεις; Καλά, ευχαριστώ."),
        ("gbk", "老师，今天学什么？学习视频。"),  # noqa: RUF001
        ("big5", "老師，今天學什麼？學習影片。"),  # noqa: RUF001
        ("shift_jis", "今日は何を勉強しますか。動画です。"),
        ("euc_kr", "오늘은 뭘 배워요? 영상이요."),
        ("cp1250", "Időben érkeztünk.\nIgen, de a vonat késett."),
        ("cp1250", "Hol van a fürdőszoba?\nOtt, a folyosó végén."),
        ("cp1250", "Dobrý den, jak se máte?\nDěkuji, dobře."),
        ("cp1250", "Gdje je moja žena?\nOtišla je kući."),
        ("cp1250", "Nu ştiu unde este.\nPoate în casă."),
        ("iso8859_2", "Cześć, co słychać?\nWszystko w porządku."),
        ("cp1254", "Günaydın, nasılsın?\nİyiyim, teşekkür ederim."),  # noqa: RUF001
        ("cp1254", "Seni seviyorum.\nBen de seni, aşkım."),  # noqa: RUF001
        ("cp1255", "שלום, מה שלומך?\nהכל בסדר, תודה."),
        ("cp1255", "איפה אתה?\nאני בבית."),  # noqa: RUF001
        ("cp1256", "مرحبا، كيف حالك؟\nأنا بخير، شكرا."),  # noqa: RUF001
        ("cp1257", "Kaip sekasi?\nAčiū, gerai, o tau?"),
        ("koi8_r", "Кто там?\nЭто я."),  # noqa: RUF001
        ("cp1252", "Hur mår du?\nJag mår bra, tack."),
        ("cp874", "ไปไหนมา\nไปตลาด"),
        ("big5", "你好嗎？\n謝謝"),  # noqa: RUF001
    ],
)
def test_other_encodings_are_detected_with_a_warning(
    tmp_path: Path, encoding: str, said: str
) -> None:
    cues = (
        f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{t}\n" for n, t in enumerate(said.split("\n"))
    )
    found = read_dialogue(write(tmp_path, "a.srt", "\n".join(cues).encode(encoding)))
    assert found.as_text() == said
    assert "a.srt is not UTF-8 and was read as" in found.warnings[0]


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("gbk", "老师，今天学什么？学习视频。"), ("cp1250", "Nem tudom, hogy időben érkezik.")],  # noqa: RUF001
)
def test_one_bad_byte_does_not_garble_the_others(tmp_path: Path, encoding: str, said: str) -> None:
    cues = f"1\n00:00:01,000 --> 00:00:02,000\n{said}\n\n2\n00:00:03,000 --> 00:00:04,000\n".encode(
        encoding
    )
    found = read_dialogue(write(tmp_path, "a.srt", cues + b"Ok. \x81\n"))
    assert found.lines[0].text == said


def test_the_language_in_a_files_name_tells_its_encoding(tmp_path: Path) -> None:
    content = "1\n00:00:01,000 --> 00:00:02,000\nErről.\n".encode("cp1250")
    for name in ("film.hu.srt", "film.hun.forced.srt", "film.Hungarian.srt"):
        assert read_dialogue(write(tmp_path, name, content)).as_text() == "Erről."


def test_bytes_of_no_encoding_are_read_with_a_warning(tmp_path: Path) -> None:
    odd = read_dialogue(write(tmp_path, "b.txt", b"ANN: a\x81b\xe9"))
    assert odd.lines[0].text.endswith("bé")
    assert "Windows-1252" in odd.warnings[0]
    damaged = "ANN: 今天学什么？\n".encode() + b"BOB: caf\xe9\n"  # noqa: RUF001
    found = read_dialogue(write(tmp_path, "c.txt", damaged))
    assert [line.text for line in found.lines] == ["今天学什么？", "caf\ufffd"]  # noqa: RUF001
    assert "UTF-8 that is damaged at 1 places" in found.warnings[0]


def test_range_keeps_what_is_heard_in_it() -> None:
    dialogue = Dialogue(
        (
            Line("before", start=0.0, end=1.0),
            Line("into", start=0.5, end=1.5),
            Line("all over", start=0.0, end=9.0),
            Line("at the edge", start=2.0, end=2.0),
            Line("from", start=1.9, end=5.0),
            Line("after", start=2.0, end=3.0),
            Line("untimed"),
            Line("begins", start=1.2),
        ),
        "given",
        ("a warning",),
    )
    kept = dialogue.between(1.0, 2.0)
    assert kept.as_text().split("\n") == [
        "into",
        "all over",
        "at the edge",
        "from",
        "untimed",
        "begins",
    ]
    assert (kept.source, kept.warnings) == ("given", ("a warning",))
    assert bool(kept)
    assert not Dialogue((Line("x", start=0.0, end=1.0),)).between(5.0, 6.0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.srt", "1\n00:00:xx --> 00:00:04,000\nHi\n", "line 2: '00:00:xx --> 00:00:04,000'"),
        ("a.srt", "1\n01:00", "line 2: '01:00'"),
        ("a.srt", "1\nhello\n", "holds no cue"),
        ("a.srt", "no cue at all", "holds no cue"),
        ("a.srt", "", "holds no cue"),
        ("a.vtt", SRT.replace("-->", "->"), "line 2: '00:00:01,000 -> 00:00:02,500' is no cue"),
        ("a.ass", ASS_HEAD + "Dialogue: 0,0:00:02.00,0:00\n", "line 9: 'Dialogue: 0,0:00:02.00"),
        ("a.ass", ASS_HEAD, "holds no cue"),
        ("a.sub", "{1}{1}25.0\n{25}Hello\n", "line 2: '{25}Hello'"),
        ("a.txt", " \n", "is empty"),
        ("a.txt", b"\x00\x01\x02\x7f" * 9, "binary"),
        ("a.srt", b"\xff\xfe1\x00\xd8", "damaged UTF-16"),
        ("a.json", "[{", "not valid JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.json", '{"1_60": {"utterance": "Hi."}}', "JSON dict: wanted a list of turns"),
        ("a.json", '[{"text": "a"}, {"speaker": "B"}]', "turn 2: has no 'text'"),
        ("a.json", '["a"]', "turn 1: is a str"),
        ("a.json", '[{"text": "a", "who": "B"}]', "turn 1: has the unknown field 'who'"),
        ("a.json", '[{"text": "a", "speaker": 1}]', "'speaker'"),
        ("a.json", '[{"text": "a", "start": "1"}]', "has the 'start' '1'"),
        ("a.json", '[{"text": "a", "start": true}]', "has the 'start' True"),
        ("a.json", '[{"text": "a", "start": NaN}]', "has the 'start' nan"),
        ("a.json", '[{"text": "a", "start": 1' + "0" * 400 + "}]", "has the 'start' 1000"),
        ("a.json", '[{"text": "a", "start": -1}]', "has the 'start' -1"),
        ("a.json", '{"segments": [{"text": 1}]}', "no segment can be read"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "line 2: is not valid JSON"),
        ("a.tsv", "1.0,2.5,Hi\n", "wanted the columns start, end, text of Whisper"),
        ("a.tsv", "start\tend\ttext\nx\ty\tHi\n", "no segment can be read"),
        ("a.sub", b"\0\0\x01\xba" + bytes(5 << 20), "holds pictures of text (VobSub)"),
        ("a.srt", b"PK\3\4zipfile", "is a zip archive: unpack it"),
        ("a.json", '[{"text": "a", "end": 2}]', "an 'end' without a 'start'"),
        ("a.json", '[{"text": "a", "start": 3, "end": 2}]', "ends at 2 before it starts at 3"),
        ("a.mp4", SRT, "wanted one that ends in .srt, .vtt"),
        ("a.srt", b"1" * (5 << 20), "larger than 4 MB"),
        ("a.ass", ASS_HEAD + ASS_SAID.format("word " * (5 << 18)), "larger than 4 MB"),
    ],
)
def test_a_damaged_file_is_one_clear_line(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    assert said in refused(write(tmp_path, name, content))


@pytest.mark.parametrize("name", ["a.srt", "a.ssa", "a.ass", "a.sub", "a.txt"])
@pytest.mark.parametrize("before", ["", "caf\u00e9\n"])
def test_a_long_line_of_braces_is_read_in_no_time(tmp_path: Path, name: str, before: str) -> None:
    """Quadratic searches took minutes for these."""
    cue = {"a.sub": "{1}{1}25\n{25}{50}", "a.srt": "1\n00:00:01,000 --> 00:00:02,000\n"}
    event = "Dialogue: 0,0:00:01.00,0:00:02.00,Default,ANN,0,0,0,,"
    text = cue.get(name, event if name[-3:] in ("ssa", "ass") else "") + "Hi. " + "{\\i1" * 50_000
    (tmp_path / name).write_bytes((before + text).encode("cp1252"))
    (line,) = read_dialogue(tmp_path / name).lines[-1:]
    assert line.text.startswith("Hi.")


@pytest.mark.parametrize(
    "said",
    [
        "{" + r"\p1" * 100_000,
        "word\n" * 200_000,
        "&#" + "9" * 5000 + ";",
        "caf\u00e9\n" + "Dialogue:\n" * 200_000,
    ],
    ids=["drawn", "lines", "digits", "events"],
)
def test_what_is_long_and_no_end_is_read_in_no_time(tmp_path: Path, said: str) -> None:
    """Quadratic searches took minutes for these; html takes no number of so many digits."""
    cue = f"1\n00:00:01,000 --> 00:00:02,000\nHi. {said}\n"
    (line,) = read_dialogue(write(tmp_path, "a.srt", cue.encode("cp1252"))).lines
    assert line.text.startswith("Hi.")


def test_no_file_is_one_clear_line(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.srt")
    (tmp_path / "folder.srt").mkdir()
    assert "Is a directory" in refused(tmp_path / "folder.srt")
    with pytest.raises(DialogueError, match="given: dialogue is a int"):
        parse_dialogue(3)  # type: ignore[arg-type]


def test_a_cue_that_ends_before_it_starts_is_kept_with_a_warning(tmp_path: Path) -> None:
    backwards = "1\n00:00:05,000 --> 00:00:03,000\nHi\n"
    dialogue = read_dialogue(write(tmp_path, "a.srt", backwards))
    assert dialogue.lines == (Line("Hi", None, 5.0, 5.0),)
    assert "before they start" in dialogue.warnings[0]


def test_mutated_files_give_lines_or_one_clear_line(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = {"srt": SRT, "vtt": VTT, "ass": ASS, "sub": "{1}{1}25\n{2}{9}Hi|you\n", "json": "[]"}
    whole["tsv"] = "start\tend\ttext\n1000\t2500\tHi.\n2500\t2600\tHo.\n"
    whole["json3"] = '{"events": [{"tStartMs": 1, "dDurationMs": 2, "segs": [{"utf8": "Hi"}]}]}'
    whole["jsonl"] = '{"text": "Hi.", "start": 1, "end": 2}\n{"text": "Ho.", "start": 2, "end": 3}'
    for _ in range(400):
        suffix = rng.choice(list(whole))
        data = bytearray(whole[suffix].encode())
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data) + 1)
            data[place : place + rng.randint(0, 9)] = rng.randbytes(rng.randint(0, 3))
        try:
            lines = read_dialogue(write(tmp_path, f"a.{suffix}", bytes(data))).lines
        except DialogueError as error:
            assert "\n" not in str(error)
            continue
        assert all(line.text.strip() and "\n" not in line.text for line in lines)
        timed = [line for line in lines if line.start is not None and line.end is not None]
        assert all(line.start <= line.end for line in timed)
        assert timed == list(lines) or "json" in suffix


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip [1].mp4", 25)


@pytest.fixture
def alone(clip: Path, tmp_path: Path) -> Path:
    """The clip in a folder of its own."""
    path = tmp_path / clip.name
    path.symlink_to(clip)
    return path


def test_sidecars_in_order(alone: Path) -> None:
    folder = alone.parent
    assert find_dialogue(alone) == Dialogue()
    order = [
        "clip [1].fr.forced.srt",
        "clip [1].fr.srt",
        "clip [1].en-US.sdh.VTT",
        "clip [1].ass",
        "clip [1].srt",
    ]
    content = {".srt": SRT, ".vtt": VTT, ".ass": ASS}
    write(folder, "clip [1].part2.srt", SRT)
    write(folder, "clip.srt", SRT)
    assert not find_dialogue(alone)
    for name in order:
        write(folder, name, content[Path(name).suffix.lower()])
        found = find_dialogue(alone)
        assert found.source == f"sidecar:{name}"
        assert found.lines == read_dialogue(folder / name).lines


@pytest.mark.parametrize(
    "name",
    [
        "clip [1].English.srt",
        "clip [1]_english (SDH).srt",
        "clip [1].en-orig.vtt",
        "CLIP [1].SRT",
        "clip [1].mp4.srt",
        "clip [1].mp4.en.srt",
        "Subs/2_English.srt",
        "subtitles/clip [1].srt",
        "Subs/clip [1]/3_eng.srt",
        "clip [1].sub",
        "clip [1].json",
        "clip [1].en.json3",
        "clip [1].tsv",
        "clip [1].jsonl",
    ],
)
def test_names_of_sidecars(alone: Path, name: str) -> None:
    folder = alone.parent / Path(name).parent
    folder.mkdir(exist_ok=True, parents=True)
    write(folder, "3_Spanish.srt" if folder != alone.parent else "clip [1].Spanish.srt", SRT)
    turn = '{"text": "Hi."}'
    written = {".vtt": VTT, ".srt": SRT, ".sub": "{25}{50}Hi.", ".json": f"[{turn}]"}
    written |= {".jsonl": turn, ".json3": f'{{"segments": [{turn}]}}'}
    written[".tsv"] = "start\tend\ttext\n1000\t2000\tHi."
    write(folder, Path(name).name, written[Path(name).suffix.lower()])
    found = find_dialogue(alone)
    assert (found.source, found.warnings) == (f"sidecar:{Path(name).name}", ())
    assert found.lines[0].start in (1.0, None)  # the clip has 25 frames a second


def test_of_several_sidecars_the_persons_language_comes_first(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "clip [1].de.srt",
        "clip [1].en.srt",
        "clip [1]_French.srt",
        "clip [1].ger.forced.srt",
    ):
        write(alone.parent, name, SRT)
    for locale, name in (
        ("C", "clip [1].en.srt"), ("de_DE.UTF-8", "clip [1].de.srt"), ("fr", "clip [1]_French.srt"),
    ):  # fmt: skip
        monkeypatch.setenv("LC_ALL", locale)
        assert find_dialogue(alone).source == f"sidecar:{name}"


def test_a_folder_of_subtitles_is_of_no_clip_where_there_are_several(alone: Path) -> None:
    (alone.parent / "Subs").mkdir()
    write(alone.parent / "Subs", "2_English.srt", SRT)
    assert find_dialogue(alone)
    (alone.parent / "other.mp4").touch()
    assert not find_dialogue(alone)
    write(alone.parent / "Subs", "clip [1].en.srt", SRT)
    assert find_dialogue(alone).source == "sidecar:clip [1].en.srt"


def test_a_damaged_sidecar_is_passed_over_aloud(alone: Path) -> None:
    write(alone.parent, "clip [1].srt", "1\n01:00 -> 01:02\nhello\n")
    found = find_dialogue(alone)
    assert (found.lines, found.source) == ((), "none")
    assert "clip [1].srt, line 2" in found.warnings[0]
    write(alone.parent, "clip [1].en.vtt", VTT)
    found = find_dialogue(alone)
    assert found.source == "sidecar:clip [1].en.vtt"
    assert "clip [1].srt, line 2" in found.warnings[0]


@pytest.mark.parametrize(("container", "codec"), [("mkv", "ass"), ("mp4", "mov_text")])
def test_embedded_track(clip: Path, tmp_path: Path, container: str, codec: str) -> None:
    subtitles = write(
        tmp_path, "in.srt", "1\n00:00:00,200 --> 00:00:00,800\nANN: <i>Hi</i>,\nX-ray. - Yes?\n"
    )
    path = tmp_path / f"talk.{container}"
    ffmpeg("-i", clip, "-i", subtitles, "-c:v", "copy", "-c:s", codec, path)
    found = find_dialogue(path)
    assert found.source == "embedded track"
    assert [line.as_text() for line in found.lines] == ["ANN: Hi, X-ray.", "Yes?"]
    assert found.lines[0].start == pytest.approx(0.2, abs=0.01)
    assert found.lines[0].end == pytest.approx(0.8, abs=0.01)


def test_what_is_forced_comes_after_the_track_inside(clip: Path, tmp_path: Path) -> None:
    shown = write(tmp_path, "in.srt", "1\n00:00:00,200 --> 00:00:00,800\nAll of it.\n")
    ffmpeg("-i", clip, "-i", shown, "-c:v", "copy", "-c:s", "subrip", tmp_path / "talk.mkv")
    write(tmp_path, "talk.en.forced.srt", SRT)
    assert find_dialogue(tmp_path / "talk.mkv").as_text() == "All of it."
    ffmpeg("-i", clip, "-c:v", "copy", tmp_path / "talk.mp4")
    (tmp_path / "talk.mkv").unlink()
    assert find_dialogue(tmp_path / "talk.mp4").source == "sidecar:talk.en.forced.srt"


def test_an_embedded_track_of_automatic_captions_is_said_once(clip: Path, tmp_path: Path) -> None:
    shown = ["good morning", "good morning\nto sir", "to sir\nm 0 0 l 9 9", "m 0 0 l 9 9\nno no"]
    cues = (f"{n}\n00:00:00,{n}00 --> 00:00:00,{n}90\n{text}" for n, text in enumerate(shown))
    subtitles = write(tmp_path, "in.srt", "\n\n".join(cues))
    ffmpeg("-i", clip, "-i", subtitles, "-c:v", "copy", "-c:s", "mov_text", tmp_path / "talk.mp4")
    found = find_dialogue(tmp_path / "talk.mp4")
    assert [line.text for line in found.lines] == ["good morning", "to sir", "no no"]


def test_a_clip_that_cannot_be_read_has_no_dialogue_and_a_warning(tmp_path: Path) -> None:
    found = find_dialogue(write(tmp_path, "broken.mp4", b"not a video"))
    assert not found
    assert "broken.mp4" in found.warnings[0]
