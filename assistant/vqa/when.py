"""What a question asks of a clip's timeline: when something is to be seen, how often, what comes
first, before or after it, and what happens in all.

Rules on words, no parser; what they do not know is an ordinary question. English only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from assistant.vqa.time_words import QUOTED

WHEN, OFTEN, WHETHER = "when", "how often", "whether"
FIRST, LAST, AFTER, BEFORE, DURING = "first", "last", "after", "before", "during"
WHICH_FIRST, SUMMARY = "which first", "summary"

CLIP = (
    r"(?:the|this|that|my|our) (?:whole |entire )?"
    r"(?:clip|video|film|movie|footage|recording|gif|tape)"
)
AUX = r"(?:is|are|was|were|'s|do|does|did|can|could|has|have|had|will)"
# What politeness or the last turn put before a question.
POLITE = re.compile(
    r"^(?:(?:and|so|but|ok|okay|now|please|well|hey|also)\b[ ,]*|(?:can|could|would|will) you "
    r"(?:please )?(?=(?:tell|show|find|give|list|sum|jump|go|take|summari)\w*\b)|"
    r"(?:please )?(?:tell|show) me,? (?=when\b|how often\b|how many times\b|at (?:what|which)\b)|"
    r"do you (?:know|see|remember),? (?=when\b))+"
)
WITHIN = re.compile(rf",? ?(?:(?:in|of|during|within|throughout) {CLIP}|anywhere|please|for me)$")
TIMES = r"(?:time|point|moment|second|minute|timestamp|timecode)s?"
WHEN_IS = re.compile(
    rf"^(?:when(?: exactly)?|(?:at|from|in|on|since) (?:what|which) {TIMES}"
    rf"(?: (?:in|of) {CLIP})?|from when|what {TIMES}(?: (?:in|of) {CLIP})?|where in {CLIP}|"
    rf"(?:in|at|during) (?:what|which) (?:part|scene|place)s?(?: (?:in|of) {CLIP})?) "
    rf"{AUX} (?P<rest>.+)$"
)
WHEN_CLAUSE = re.compile(
    rf"^(?:when|at (?:what|which) {TIMES}) (?P<rest>(?:the|a|an|some\w*|any\w*|he|she|it|they|"
    r"people|there|his|her|two|three)\b.+)$"  # "tell me when the dog appears"
)
SHOW = re.compile(
    r"^(?!(?:give|tell|list)(?: me)? where\b)"  # which asks for a place
    r"(?:show|find|give|tell|jump to|go to|take me to|skip to|search(?: for)?|locate|list)"
    r"(?: me)? (?:(?:when|where)|(?:the |all (?:the )?|every |each |any )?"
    r"(?:moment|part|scene|time|place|bit|point|second|section|shot)s? "
    r"(?:when|where|in which|at which|with|of|that (?:shows?|has|have|contains?)|showing|"
    r"containing)) (?P<rest>.+)$"
)
HOW_OFTEN = re.compile(rf"^how (?:often|frequently|many times)(?: {AUX})? (?P<rest>.+)$")
COMES_FIRST = re.compile(
    r"^(?:what|which|who)(?: of the two| one| thing)? (?:comes|happens|is|appears|occurs|was|came|"
    r"appeared|starts)(?: shown| seen| there)? (?P<order>first|earlier|last|later)[ ,:-]+"
    r"(?P<one>.+?),? or (?P<other>.+)$"
)
BESIDE = re.compile(
    r"^what(?:'s| else)? ?(?:(?:happen\w*|come\w*|came|follow\w*|is|was|else|going|goes|on|takes?|"
    r"place|shown|seen|to be seen|can|could|do|does|did|doing|you|we|i|see|he|she|it|they|the \w+)"
    r"\b ?)+(?:right |just |directly |immediately |shortly |next )*"
    r"(?P<side>after|following|before|prior to) (?P<rest>.+)$"
)
WHILE = re.compile(
    r"^(?P<ask>(?:what|who|where|how many|how|which|is|are|does|do) .+?),? "
    r"(?P<side>while|when|during|as soon as) (?P<rest>.+)$"
)
EDGE = re.compile(
    rf"^(?:what(?:'s| is| was)?(?: (?:the|it))? ?(?:happen\w*|come\w*|came|going on|seen|shown|"
    rf"to be seen|occurs?)? ?(?:very )?(?P<one>first|last|at last|at first|finally)|"
    rf"what(?:'s| is| was| are| were) the (?:very )?(?P<two>first|last|final) "
    rf"(?:things?|events?|scenes?|shots?|moments?|action|activity)(?: that)?"
    rf"(?: (?:happen\w*|to happen|shown|we see|you see|to be seen|one sees|occurs?))?|"
    rf"how (?:does|did) (?:it|{CLIP}) (?P<three>start|begin|open|end|finish|close))$"
)
SUM_UP = re.compile(
    rf"^(?:(?:summari[sz]e|sum up|outline|recap)(?: (?:it|this|that|everything|{CLIP}|what happens|"
    rf"what is happening|what happened))?(?: (?:in|with) (?:a |one |two |three |a few |few )?"
    rf"(?:short |brief )?(?:sentences?|words|lines))?|"
    r"(?:give|write|make)(?: me| us)? (?:a |an |the )?(?:short |brief |quick )?"
    r"(?:summary|overview|outline|recap|timeline)|(?:a |the )?(?:summary|overview|timeline)|"
    rf"(?:a |the )(?:summary|overview|timeline) of {CLIP}|"
    rf"(?:give|write|make)(?: me| us)? (?:a |an |the )?(?:short |brief |quick )?"
    rf"(?:summary|overview|outline|recap|timeline) of {CLIP}|"
    r"(?:list|show|name|what are|which are|tell me)(?: me)? (?:all )?(?:of )?(?:the )?"
    r"(?:scenes|events|chapters)|what (?:scenes|events|chapters) are there|"
    r"(?:tell me |describe )?what happens (?:when|step by step|in (?:what|which) order|one after "
    r"(?:another|the other))|what is the order of (?:the )?(?:events|scenes))$"
)
IS_THERE = re.compile(
    r"^(?:is|are|was|were) there (?:ever )?(?P<rest>(?:an?|any|some|ever) .+)$|"
    r"^(?:do|does|did|can|could) (?:(?:you|we|i|one) )?(?:ever )?(?:see|spot|find) (?P<seen>.+)$|"
    r"^(?:do|does|did) (?P<thing>.+?) (?:ever )?(?:appear|show up|occur|turn up)(?: at all)?$"
)
# "when was this filmed": of the world, and no clip shows it
WORLD = re.compile(
    rf"^(?:it|this|that|{CLIP}|the (?:photo|picture|scene|show|episode|song|story)) "
    r"(?:film|record|shot|made|taken|upload|post|produc|releas|publish|happen|take place|play|set)"
)
WHOLE = re.compile(rf"^{CLIP}(?: (?:start|begin|end|stop|finish)\w*)?$")
# "what time does the clock show?"
CLOCKS = re.compile(r"^what time\b.* (?:it|clocks?|watch|watches|sign|shown?)\b")
NOBODYS = re.compile(r"\b(?:i|me|my|we|you|your|born|birthday|easter|christmas|century)\b")
SAID = re.compile(
    r"^(?P<who>.*?)\b(?:say|says|said|saying|mention\w*|talk\w* about|speak\w* (?:about|of)|"
    r"(?:the )?words?)\b(?: the words?)?(?P<what> .+)$"
)
APPEARING = re.compile(
    r"(?:^| )(?:(?:is|are|was|were|to|be|being|first|last|next|ever|again|finally|then|really) )*"
    r"(?:appear|show up|turn up|pop up|come (?:in|on|up|into view|on screen|into the picture)|"
    r"come|enter|become visible|visible|seen|shown|on (?:the )?screen|in view|in sight|there|"
    r"present|happen\w*|occur\w*|take place|takes place|taking place|going on|"
    r"appear\w*|shows up|comes (?:in|on|up|into view|on screen|into the picture)|to be seen)"
    r"(?: (?:for the )?(first|last)(?: time)?| again| next)?$"
)
ENDING = re.compile(
    r" (?:disappear\w*|vanish\w*|leaves?|go(?:es)? away|(?:is )?over)$|"
    r"(?<=ing) (?:ends?|stops?|finish(?:es)?)$"
)
BEGINNING = re.compile(r"\b(?:start|starts|begin|begins|started|beginning)(?: to)?\b ?")
STOPPING = re.compile(r"\b(?:stop|stops|finish|finishes|cease|ceases|end|ends) (?=\w+ing\b)")
ORDER = re.compile(r"\b(?:for the )?(first|last)(?: time)?\b ?")
NEVER = re.compile(r"\b(?:ever|again|actually|exactly|really|finally)\b ?")
INTRO = re.compile(
    r"^(?:there(?: (?:is|are|was|were))?|(?:you|we|i|one)(?: can| could)?(?: first| last)? see|"
    r"see) "
)
NOTHING = ("it", "that", "this", "they", "there", "he", "she", "something", "anything")


@dataclass(frozen=True)
class Asks:
    """What is asked of a timeline."""

    kind: str
    thing: str = ""  # what is looked for, as the person said it
    pick: str = ""  # FIRST or LAST of its moments; "": all
    edge: str = ""  # "end": when it is over
    said: str = ""  # words that are spoken, where these are asked for
    rest: str = ""  # the question without what names its part of the clip
    other: Asks | None = None  # the second of two


def asked_of_timeline(question: str) -> Asks | None:
    """What a question asks of the timeline; None: it is about something else."""
    text = " ".join(question.lower().replace("\u2019", "'").split()).strip(" ?!.")
    quoted = [one.strip('"') for one in QUOTED.findall(text) if one.startswith('"')]
    text = WITHIN.sub("", POLITE.sub("", text)).strip(" ,")
    if match := COMES_FIRST.match(text):
        one, other = (_sought(WHICH_FIRST, match[name]) for name in ("one", "other"))
        late = match["order"] in ("last", "later")
        pick = LAST if late else FIRST
        return one and other and Asks(WHICH_FIRST, one.thing, pick, other=other)
    if SUM_UP.match(text):
        return Asks(SUMMARY)
    if match := EDGE.match(text):
        word = match["one"] or match["two"] or match["three"] or ""
        late = word in ("last", "at last", "finally", "final", "end", "finish", "close")
        return Asks(LAST if late else FIRST)
    for pattern, kind in ((HOW_OFTEN, OFTEN), (WHEN_IS, WHEN), (SHOW, WHEN), (WHEN_CLAUSE, WHEN)):
        if match := pattern.match(text):
            rest = match["rest"]
            if NOBODYS.search(INTRO.sub("", rest)) or WORLD.match(rest) or CLOCKS.match(text):
                return None
            return _spoken(kind, match["rest"], quoted) or _sought(kind, match["rest"])
    if match := BESIDE.match(text):
        side = AFTER if match["side"] in ("after", "following") else BEFORE
        return _spoken(side, match["rest"], quoted) or _sought(side, match["rest"])
    if (match := WHILE.match(text)) and not NOBODYS.search(text) and "<" not in text:
        found = _spoken(DURING, match["rest"], quoted) or _sought(DURING, match["rest"])
        return found and replace(found, rest=match["ask"])
    if match := IS_THERE.match(text):
        return _sought(WHETHER, match["rest"] or match["seen"] or match["thing"])
    return None


def _spoken(kind: str, rest: str, quoted: list[str]) -> Asks | None:
    """Of words that somebody says."""
    match = SAID.match(f"{rest} ")
    if match is None or not match["what"].strip():
        return None
    words = quoted[0] if quoted else match["what"].strip(" .,'")
    words = re.sub(r"^(?:that|about|of|the words?) ", "", words)
    return Asks(kind, words, said=words)


def _sought(kind: str, rest: str) -> Asks | None:
    """Of what is to be seen; None: the words name nothing."""
    text = rest.strip(" ,")
    order = ORDER.search(text)
    text = INTRO.sub("", NEVER.sub("", ORDER.sub("", text)).strip()).strip()
    edge = "end" if ENDING.search(text) or STOPPING.search(text) else ""
    text = STOPPING.sub("", ENDING.sub("", text))
    if bare := APPEARING.search(text):
        text = text[: bare.start()]
    text = " ".join(BEGINNING.sub("", text).split()).strip(" ,")
    text = re.sub(r" (?:is|are|was|were|be|being|do|does|did|to)$", "", text)
    if not re.search(r"[a-z]{2}", text) or text in NOTHING or WHOLE.match(text):
        return None
    return Asks(kind, text, order[1] if order else "", edge)
