"""Turns that survive JSON, and times that a question names, or does not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assistant.errors import InputError
from assistant.vqa.conversation import Conversation, Turn
from assistant.vqa.time_ranges import TimeRange, time_range, without_time
from assistant.vqa.time_words import format_time

DURATION = 180.0  # of the clip in every example
steady = settings(derandomize=True, database=None, deadline=None, max_examples=200)

texts = st.text(st.characters(exclude_categories=("Cs",)))


@steady
@given(st.lists(st.tuples(texts, texts)))
def test_a_conversation_keeps_its_turns(pairs: list[tuple[str, str]]) -> None:
    conversation = Conversation()
    for question, answer in pairs:
        conversation = conversation.add(question, answer)
    assert conversation.turns == tuple(Turn(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (42, "0:42"), (42.5, "0:42.5"), (59.9996, "1:00"), (3723.004, "1:02:03.004")],
)
def test_format_time(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


MOMENTS = {
    42: [
        "At 0:42, what is he doing?",
        "What is there at 42s?",
        "at 42 s",
        "at 42 seconds",
        "What happens at second 42?",
        "What is at the 42-second mark?",
        "at the 42 second mark",
        "at 0m42s",
        "At 0:42, is it 7 o'clock?",
        "at forty-two seconds",
        "at forty two seconds",
        "at time 0:42",
        "at t=42s",
        "at timestamp 0:42",
        "@0:42 who is it?",
        "[0:42] who is it?",
        "0:42 - who is it?",
        "Who is there 42 seconds into the video?",
        "What happens 42 seconds in?",
        "What happens 42 seconds after the start?",
    ],
    65: [
        "at 1:05",
        "at 1 min 5 s",
        "at 1m05s",
        "at one minute and five seconds",
        "at 1 minute, 5 seconds",
        "at the 1:05 mark",
        "at 0:01:05",
        "at 00:65.000 or rather at 1:05",
        "5 seconds after 1:00",
    ],
    90: ["at minute 1.5", "at 1.5 minutes", "at a minute and a half", "at one and a half minutes"],
    120: ["at minute 2", "at two minutes", "at 2 min", "one minute before the end"],
    170: ["10 seconds from the end", "ten seconds before the end", "at 2:50"],
}


@pytest.mark.parametrize(("when", "question"), [(t, q) for t in MOMENTS for q in MOMENTS[t]])
def test_a_moment_is_one_second_on_either_side(when: float, question: str) -> None:
    assert time_range(question, DURATION) == TimeRange(when - 1, when + 1)


RANGES = {
    (40, 44): ["Around 0:42, who enters?", "at about 0:42", "at around 42 seconds", "near 0:42"],
    (0, 1): ["What is at 0:00?", "at 0 s"],
    (10, 20): [
        "between 10 and 20 seconds",
        "Between 0:10 and 0:20?",
        "between ten and twenty seconds",
        "between 10s and 20s",
        "between seconds 10 and 20",
        "between second 10 and second 20",
        "from 10 to 20 s",
        "from 10 s to 20",
        "from second 10 to 20",
        "from 0:10-0:20",
        "0:10\u20130:20, what happens?",
        "What happens 0:10 to 0:20?",
        "from 0:10 until 0:20 what happens?",
        "during 0:10 to 0:20",
        "after 0:10 but before 0:20",
        "after 10 seconds and before 20 seconds",
        "in the 10 seconds after 0:10",
        "the last 10 seconds before 0:20",
        "at 10 to 20 s",
        "at about 10-20 seconds",
        "at 0:10 to 0:20",
        "What happens 10 to 20 seconds into the video?",
    ],
    (60, 90): [
        "from 1:00 to 1:30",
        "between 1 and 1.5 minutes",
        "between one minute and one minute thirty seconds",
    ],
    (0, 10): [
        "before 10 s",
        "until 0:10",
        "up to 0:10",
        "from the beginning to 0:10",
        "in the first ten seconds",
        "in the first 10 seconds of the video",
        "the first 10 s",
        "the opening 10 seconds",
    ],
    (30, 180): [
        "after 0:30",
        "What does he do after 30 seconds?",
        "from 0:30 on",
        "from 30 seconds onwards",
        "starting at 0:30",
        "since 0:30",
        "from 0:30 to the end",
    ],
    (170, 180): [
        "the last 10 seconds",
        "during the final ten seconds",
        "from 2:50 to the end",
        "In the last 5 to 10 seconds, who speaks?",
    ],
    (0, 60): ["in the first minute", "Describe the first minute.", "in the 1st minute"],
    (60, 180): ["after the first minute", "Describe all but the first minute."],
    (60, 120): ["in the second minute", "during the 2nd minute", "the second third of the clip"],
    (120, 180): ["in the last minute before the end", "in the last minute", "in the 3rd minute"],
    (0, 30): ["in the first half minute", "the first half a minute"],
    (0, 3): ["in the first few seconds"],
    (10, 180): [
        "What happens after the first 10 seconds?",
        "What happens after the first ten seconds of the video?",
        "What is shown, but not in the first 10 seconds?",
        "Who is there outside the first 10 seconds?",
    ],
    (0, 175): [
        "What happens before the last 5 seconds?",
        "Who is there until the last 5 seconds?",
        "What does he do, except in the last 5 seconds?",
        "What is shown except for the last 5 seconds?",
        "What happens, but not during the final 5 seconds?",
    ],
    (125, 180): ["What happens after the first 5 seconds of the last minute?"],
    (55, 60): ["the last 5 seconds of the first minute", "in the last 5 s of the 1st minute"],
    (60, 70): ["What happens in the first 10 seconds of the second minute?"],
    (120, 130): ["the first 10 seconds of the last minute"],
    (85, 90): ["the last 5 seconds of the first half of the clip"],
    (48, 60): ["What happens at the end of the first minute?"],
    (175, 180): ["the video's last 5 seconds", "Last 5 seconds?"],
    (0, 90): ["the first half of the video", "the first minute and a half"],
    (90, 180): ["the second half of the clip", "the last half of this video"],
    (135, 180): ["the last quarter of the film"],
    (0, 36): ["What is there at the beginning?", "How does the clip start?", "At the start, who?"],
    (144, 180): [
        "What happens at the end?",
        "What happens at the end of the video when he falls?",
        "How does the video end?",
    ],
    (72, 108): ["What is in the middle of the video?"],
    (0, 180): ["the first ten minutes", "the last 500 seconds"],
}


@pytest.mark.parametrize(("span", "question"), [(s, q) for s in RANGES for q in RANGES[s]])
def test_a_range(span: tuple[float, float], question: str) -> None:
    found = time_range(question, DURATION)
    assert found is not None
    assert (found.start, found.end) == pytest.approx(span)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What happens?",
        "Does he leave at 7 o'clock?",
        "Does he leave at 7:30 o'clock?",
        "Does he leave at 7:30 pm?",
        "Does he leave at 10 a.m.?",
        "Does he leave at 10:30am?",
        "Does the clock stand at 0:42?",
        "Are there 2 dogs?",
        "What is the ratio 1:3?",
        "Is the ratio 1:30?",
        "Is the score 3:15?",
        "Are there between 10 and 20 people?",
        "Does it cost from 10 to 20 dollars?",
        "Does he wait 2 seconds?",
        "Does he wait for a minute?",
        "Does he wait 10 to 20 seconds?",
        "Has he won by 10 seconds?",
        "Who wins after 100 m?",
        "What stands at 10 m distance?",
        "Is it filmed at 30 fps?",
        "Does it flash at 5 second intervals?",
        "Is it played at 2x speed?",
        "What comes after a second dog appears?",
        "Who is the second man?",
        "Who are the first 3 people?",
        "Does he decide at the last minute?",
        "Who speaks after 10 seconds of silence?",
        "Is it brown after 5 minutes in the oven?",
        "Who leads in the first 10 seconds of the race?",
        "What is in the middle of the road?",
        "Who stands in the middle?",
        "What is at the end of the street?",
        "Who is at the start line?",
        "What is the second half of the orange for?",
        "In the end, is he happy?",
        'He says "I come at 0:42", why?',
        "Is it sarcastic when <SHELDON: at 10 seconds>?",
        "Is it a 10 second clip?",
        "Does it last 5 seconds?",
        "Did the cheers last ten seconds?",
        "Does the song last between 10 and 20 seconds?",
        "Is the dog not in the first 10 seconds?",
        "What is there except at 0:42?",
        "What is there except between 0:10 and 0:20?",
        "What happens neither in the first 10 seconds nor at 0:42?",
        "Is it darker at 0:10 than at 0:20?",
        "What happens at 10 and 20 seconds?",
        "What happens before and after 0:30?",
        "What happens in the first and the last 5 seconds?",
        "What happens in the first 10 seconds and the last 5 seconds?",
        "What happens after the first 10 seconds but before the last 5 seconds?",
        "What happens from the first minute to the last 5 seconds?",
        "What happens 10 seconds after the first minute?",
        "What happens once the first 10 seconds are over?",
        "Who leads after the first 10 seconds of the race?",
        "What happens after the last 5 seconds?",
        "at 12",
        "at 1:75",
        "between 10 and 20",
    ],
)
def test_what_is_not_about_the_clips_time_names_nothing(question: str) -> None:
    assert time_range(question, DURATION) is None


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What happens at 5:00?", "5:00"),
        ("from 0:10 to 5:00", "5:00"),
        ("after 200 seconds", "3:20"),
        ("200 seconds into the video", "3:20"),
        ("200 seconds before the end", "before the beginning"),
        ("in the 9th minute", "8:00"),
        ("between 20 and 10 seconds", "0:20 to 0:10"),
        ("before 0:00", "0:00 to 0:00"),
        ("after 3:00", "3:00 to 3:00"),
    ],
)
def test_a_time_that_the_clip_does_not_have_is_refused(question: str, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        time_range(question, DURATION)
    assert "lasts 3:00" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_end_as_a_player_rounds_it_is_still_the_end() -> None:
    assert time_range("at 0:20", 19.6) == TimeRange(18.6, 19.6)
    assert time_range("from 0:10 to 0:20", 19.6) == TimeRange(10, 19.6)
    assert time_range("at 0:00", 0.0) == TimeRange(0, 0)
    with pytest.raises(InputError, match=r"lasts 0:19\.4"):
        time_range("at 0:20", 19.4)


@steady
@given(st.integers(0, 359_999_000), st.integers(1, 359_999_000))
def test_formatted_times_are_read_back(start: int, length: int) -> None:
    first, last = start / 1000, (start + length) / 1000
    found = time_range(f"What happens at {format_time(first)}?", last + 2)
    assert found is not None
    assert found.start == pytest.approx(max(0, first - 1), abs=1e-6)
    assert found.end == pytest.approx(first + 1, abs=1e-6)
    for question in ("from {} to {}", "Between {} and {}, who is it?", "{}-{}"):
        found = time_range(question.format(format_time(first), format_time(last)), last + 2)
        assert found is not None
        assert (found.start, found.end) == pytest.approx((first, last), abs=1e-6)
    shown = time_range(TimeRange(first, last).as_text(), last + 2)
    assert shown == found


@steady
@given(st.integers(0, 9), st.integers(0, 59), st.integers(0, 59))
def test_units_are_read_back(hours: int, minutes: int, seconds: int) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    expected = time_range(f"at {format_time(total)}", 40_000)
    assert time_range(f"at {hours}h{minutes:02d}m{seconds:02d}s", 40_000) == expected
    long = f"at {hours} hours, {minutes} minutes and {seconds} seconds"
    assert time_range(long, 40_000) == expected


@steady
@given(st.text(st.sampled_from("0123456789:. -@#[]()<>\"'smh,?\u2013\n") | st.characters()))
def test_any_text_gives_a_range_within_the_clip_or_one_line(text: str) -> None:
    for question in (text, f"at {text} seconds", f"from 0:10 to {text}"):
        try:
            found = time_range(question, DURATION)
        except InputError as error:
            assert "\n" not in str(error)
            continue
        if found is not None:
            assert 0 <= found.start <= found.end <= DURATION


@steady
@given(st.text(st.sampled_from("abcdefghijklmnop qrstuvwxyz ?,.")))
def test_text_without_times_names_nothing(text: str) -> None:
    assume(not any(word in text for word in ("second", "sec", "min", "hour", "start", "begin")))
    assume(not any(word in text for word in ("end", "s ", "half", "third", "quarter")))
    assert time_range(text, DURATION) is None


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("What happens in the last 4 seconds?", "What happens in the video?"),
        ("What happens at 0:42?", "What happens in the video?"),
        ("At 0:42, what is Anna holding?", "What is Anna holding?"),
        ("What is the dog doing between 3 and 6 seconds?", "What is the dog doing?"),
        ("What is the  man doing from 0:10 to 0:20 ?", "What is the man doing ?"),
        ("What happens in the first half of the video?", "What happens in the video?"),
        ("Who is there at the end?", "Who is there?"),
        ("What happens at the end of the clip?", "What happens in the video?"),
        ("[1:05] Is there a Dog?", "Is there a Dog?"),
        ("What does Bob do after 1:05?", "What does Bob do?"),
        ("What happens after the first 10 seconds?", "What happens in the video?"),
        ("What does he do, except in the last 5 seconds?", "What does he do?"),
        ("Who is there in the last 5 seconds of the first minute?", "Who is there?"),
        # left alone
        ("Does it last 5 seconds?", "Does it last 5 seconds?"),
        ("How does the video end?", "How does the video end?"),
        ("What is that?", "What is that?"),
        ("At 0:42?", "At 0:42?"),
    ],
)
def test_a_question_can_be_asked_without_its_time(question, rest):
    assert without_time(question) == rest
