"""Times in an English question: ``0:42``, ``1h02m03s``, ``a minute and ten seconds``, ``second 5``.

``mark_times`` puts marks in their place, so that phrases can be matched around them: ``@c0@`` for
a point of time, ``@l0@`` for a length, which "at" makes a point, with the index of its seconds.
"""

import re

SECONDS_OF = {"h": 3600.0, "m": 60.0, "s": 1.0}
SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
VALUES = {word: float(value) for value, word in enumerate(SMALL.split())}
VALUES |= {word: 10.0 * ten for ten, word in enumerate(TENS.split(), 2)}
VALUES |= {"a": 1.0, "an": 1.0, "half": 0.5, "couple": 2.0, "few": 3.0}

NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
SPELLED = (
    rf"(?:(?:{TENS.replace(' ', '|')})(?:[ -](?:{'|'.join(SMALL.split()[1:10])}))?"
    rf"|{'|'.join(reversed(SMALL.split()))})"
)
COUNT = rf"(?:(?:{NUMBER}|{SPELLED})(?: and a half)?|(?:a )?(?:couple(?: of)?|few)|half(?: an?)?)"
HOURS = rf"(?:{COUNT}|an?)[ -]?(?:hours?|hrs?|h)(?![a-z'])"
MINUTES = rf"(?:{COUNT}|an?)[ -]?(?:minutes?|mins?|m)(?![a-z'])(?: and a half)?"
SECONDS = rf"{COUNT}[ -]?(?:seconds?|secs?|s)(?![a-z'])"  # no "a second": "a second dog"
THEN = r"(?:,? and |,? ?)"
LENGTH = rf"(?:(?:{HOURS}(?:{THEN}{MINUTES})?|{MINUTES})(?:{THEN}{SECONDS})?|{SECONDS})"
PART = re.compile(rf"({COUNT}|an?)[ -]?([hms])[a-z]*( and a half)?")
METRES = re.compile(rf"{NUMBER} ?[hm]")  # "after 100 m"
CLOCK = r"\d{1,3}:(?:[0-5]?\d:)?[0-5]\d(?:\.\d{1,6})?"
TO = r"(?:to|until|till|through|-)"
TIME = re.compile(
    r"(?<![\w.:])(?:"
    rf"(?P<clock>{CLOCK})(?![\w:]|\.\d)(?! ?(?:[ap]\.?m\b|o'?clock))"
    # The number of "10 to 20 seconds" that leaves its unit to the other.
    rf"|(?:(?:(?P<digits>{NUMBER})(?= ?(?:and|{TO}))|(?P<spelled>{SPELLED})(?= (?:and|to) ))"
    rf"(?P<link> ?(?:and|{TO}) ?))?"
    rf"(?P<length>{LENGTH})(?! (?:ago|apart|each|intervals?|long|old|per)\b)"
    r"(?P<mark> (?:mark|point|timestamp)\b)?"
    rf"|(?<!the )(?P<unit>[ms])(?:inute|econd)s? (?P<number>{NUMBER})"
    r"(?![\w:]| ?(?:hour|minute|second)s?\b)"
    r")"
)
OTHER_END = re.compile(rf"(@[cl](\d+)@ ?(?:and|{TO}) ?)({NUMBER})(?= ?[?.!,;)]|$)")
SHOWN_ON = re.compile(
    r"(?<!o')\b(?:alarm|clock|scoreboard|stopwatch|timer)\b"
)  # 0:42 is what it shows
QUOTED = re.compile(r"\"[^\"]*\"|<[^<>]*>")  # what somebody says
ONE = re.compile(  # not "at the last minute"
    r"\b((?:the (?:first|opening)|(?:before|during|except|for|in|over|till|until|within"
    r"|(?<=seconds )of|(?<=half )of) the (?:closing|final|last)))"
    r" (minute|second)\b(?!-| half)"
)


def format_time(seconds: float) -> str:
    """``0:42``, ``1:02:03`` or ``0:42.5``, to the millisecond."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{milliseconds:03d}".rstrip("0") if milliseconds else text


def mark_times(question: str) -> tuple[str, list[float]]:
    """The question in lower case with marks in place of its times, and their seconds."""
    text = re.sub("[\u201c\u201d]", '"', re.sub("[\u2010-\u2015]", "-", question.lower()))
    text = QUOTED.sub(" ... ", text.replace("\u2019", "'"))
    text = " ".join(text.replace("@", " at ").replace("#", " ").split())
    text = ONE.sub(r"\1 1 \2", text)
    shown = SHOWN_ON.search(text) is not None
    found: list[tuple[float, float]] = []  # seconds, and those of the unit it was said in

    def mark(kind: str, seconds: float, unit: float = 1.0) -> str:
        found.append((seconds, unit))
        return f"@{kind}{len(found) - 1}@"

    def replaced(match: re.Match[str]) -> str:
        if match["clock"]:
            return match[0] if shown else mark("c", _clock(match["clock"]))
        if match["number"]:
            unit = SECONDS_OF[match["unit"]]
            return mark("c", float(match["number"]) * unit, unit)
        if METRES.fullmatch(match["length"]):
            return match[0]
        parts = PART.findall(match["length"])
        unit = SECONDS_OF[parts[-1][1]]
        length = sum((_count(count) + 0.5 * bool(half)) * SECONDS_OF[u] for count, u, half in parts)
        kind = "c" if match["mark"] else "l"
        bare = match["digits"] or match["spelled"]
        first = mark(kind, _count(bare) * unit, unit) + match["link"] if bare else ""
        return first + mark(kind, length, unit)

    def other_end(match: re.Match[str]) -> str:
        unit = found[int(match[2])][1]
        return match[1] + mark("c", float(match[3]) * unit, unit)

    text = OTHER_END.sub(other_end, TIME.sub(replaced, text))
    return text, [seconds for seconds, _ in found]


def _clock(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _count(words: str) -> float:
    """``12``, ``twenty-five``, ``two and a half``, ``half a``, ``a few``, ``a``."""
    whole = words.removesuffix(" and a half")
    more = 0.5 if whole != words else 0.0
    names = [name for name in re.split("[ -]", whole) if name not in ("of", "")]
    if len(names) > 1:
        names = [name for name in names if name not in ("a", "an")]
    return more + sum(VALUES[name] if name in VALUES else float(name) for name in names)
