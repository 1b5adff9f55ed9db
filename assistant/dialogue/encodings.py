"""Which encoding a text that is no Unicode is in: the likeliest by the letters of its language.

A short file shows too few words for anything else; the letters of each language, by how frequent
they are, come from charset_normalizer.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Collection
from functools import cache
from itertools import pairwise

from assistant.core.languages import language_of

# the languages that are written in each, the likelier encodings first
CENTRAL = "Polish Czech Slovak Hungarian Croatian Slovene"
LANGUAGES = {
    "cp1252": "English French German Spanish Italian Portuguese Dutch Swedish Norwegian Danish "
    "Finnish Catalan Icelandic Albanian",
    "cp1251": "Russian Ukrainian Bulgarian Serbian Belarusian Macedonian",
    "cp1250": f"{CENTRAL} Romanian",
    "gb18030": "Chinese",
    "shift_jis": "Japanese",
    "euc_kr": "Korean",
    "big5": "Chinese",
    "cp1254": "Turkish",
    "cp1253": "Greek",
    "cp1256": "Arabic Farsi",
    "cp1255": "Hebrew",
    "cp874": "Thai",
    "koi8_r": "Russian",
    "cp1257": "Lithuanian Latvian Estonian",
    "iso8859_2": CENTRAL,
    "koi8_u": "Ukrainian",
    "euc_jp": "Japanese",
    "iso8859_5": "Russian",
}
RARER = {  # letters that are not among charset_normalizer's 26 most frequent
    "English": "éèêïö", "French": "âçîïœôùûüæë", "German": "ß", "Spanish": "ñúü",
    "Italian": "ìùíó", "Portuguese": "àâêôõúü", "Dutch": "éèïöüóá", "Swedish": "éü",
    "Norwegian": "éòôü", "Danish": "éü", "Finnish": "å", "Polish": "ćńśźż", "Czech": "ďňóťúůšžýč",
    "Slovak": "äďĺľňóôŕťúšž", "Romanian": "şţ", "Croatian": "đć", "Slovene": "", "Turkish": "öâî",
    "Lithuanian": "ūčę", "Estonian": "šž", "Russian": "шщъюэфцё", "Ukrainian": "шщюєфґж",
    "Bulgarian": "фью", "Serbian": "гзбђжјљњћхцџшфч", "Greek": "ζξφψώύϊϋΐΰβ", "Hebrew": "ףץ",
    "Arabic": "ضذزثغظئءؤآـ", "Farsi": "ضثذظژطيكئأؤءةىغ",
}  # fmt: skip
MORE = {  # its list lacks these languages, or letters that tell one: all, by how frequent they are
    "Albanian": "etinëarsohudkmpjlgbvqfzyçxc",
    "Belarusian": "анаіресктылдоўмзпбвяугцжьчёхйшюэф",
    "Catalan": "easrnitlodcumpvbgfqàéxhíòèjçóúïü",
    "Hungarian": "eatlnskorziáégmbyvdhupjöfócőíüúű",
    "Icelandic": "arnitseulðgmkfhvoáíjþdyóbæpéöúýx",
    "Latvian": "aistreunoākdlmpvzjīēgbūcšfžņķļčģ",
    "Macedonian": "аоиетнрсвдлкупмзјгбчшцжњфхќџљѓѕ",
    "Thai": "าน่รอ้กเังมยลีวิดทสตะปบคหแจพชข์ใืุไำูโ็ๆ๊๋ึฆญฎฏฐฑฒณธฝฟภศษฬฮ",
}
COMMON = {  # lead bytes of the frequent half of the characters
    "gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6), "shift_jis": (0x88, 0x98),
    "euc_jp": (0xB0, 0xCF), "euc_kr": (0xB0, 0xC8),
}  # fmt: skip
CHARACTERS = "\u3400"  # the first of them
JOINED = "'’·\u0591-\u05c7\u064b-\u0652\u0e31-\u0e4e"  # marks inside words, vowels  # noqa: RUF001
UNHEARD = 5.0  # of the log-likelihood, against a language that is not the one that is named
MARKS = "–—…„“”‘’«»‹›¿¡°€♪·№\xa0،؛؟、。「」『』《》？！，：；（）・～"  # noqa: RUF001
# how likely are: a letter, or a mark, that is rare; one of the frequent characters of the East;
# what the language does not have; and a capital inside a word, or a small letter that begins a line
RARE, CHARACTER, ALIEN, ODD_CASE = 2e-3, 2e-4, 1e-6, 0.1
LISTED = 0.3  # of a text of characters are in the lists
DOUBT = 0.25  # of the log-likelihood, against each encoding further down in the table


def likeliest(data: bytes, hint: str | None = None) -> str | None:
    """The encoding of a text; None: in each of them most are no letters of its languages.

    ``hint`` is the language that the text is said to be in ("hu").
    """
    best, found = -math.inf, None
    for place, (encoding, languages) in enumerate(LANGUAGES.items()):
        text = data.decode(encoding, errors="replace")  # one bad byte is as one odd letter
        letters = Counter(c for c in text.lower() if c.isalpha() or c > "\x7f")
        common = _common(letters, encoding)
        odd = _odd(text) - DOUBT * place
        for language in languages.split():
            known = _shares(language)
            alien = [c for c in letters if c not in known and c not in common]
            strange = sum(letters[c] for c in alien)
            if 2 * strange > sum(n for c, n in letters.items() if c > "\x7f"):
                continue
            score = odd + strange * math.log(ALIEN)
            score += sum(
                n * math.log(known.get(c, CHARACTER)) for c, n in letters.items() if c not in alien
            )
            score -= 0.0 if hint in (None, language_of(language)) else UNHEARD
            if score > best:
                best, found = score, encoding
    return found


@cache
def _shares(language: str) -> dict[str, float]:
    """How much of a text each letter is: the n-th is 1 / (n + 3) as frequent as all of them."""
    from charset_normalizer.constant import FREQUENCIES

    lists = [letters for name, letters in FREQUENCIES.items() if name.rstrip("—") == language]
    lists = [list(MORE[language])] if language in MORE else lists
    rare = [*string.ascii_lowercase, *MARKS, *RARER.get(language, "")]
    known = dict.fromkeys(rare, RARE)
    for letters in lists:
        total = sum(1 / (n + 3) for n in range(len(letters))) * len(lists)
        total /= LISTED if letters[0] >= CHARACTERS else 1
        known |= {letter: 1 / (n + 3) / total for n, letter in enumerate(letters)}
    return known


def _common(letters: Collection[str], encoding: str) -> set[str]:
    low, high = COMMON.get(encoding, (1, 0))
    here = (c for c in letters if c >= CHARACTERS and c != "\ufffd")
    return {c for c in here if low <= c.encode(encoding)[0] <= high}


def _odd(text: str) -> float:
    """Of the log-likelihood: signs or other scripts inside words ("Dok¹d"), odd capitals."""
    pairs = list(pairwise("\n" + text))
    signs = len(re.findall(rf"[^\W\d_](?![{JOINED}])[^\w\s\x00-\x7f][^\W\d_]", text))
    small = sum(a == "\n" and b.islower() and b > "\x7f" for a, b in pairs)
    capital = sum(a.isalpha() and b.isupper() and b > "\x7f" for a, b in pairs)
    scripts = len(re.findall(r"[A-Za-z][\u0370-\u0e3f]|[\u0370-\u0e3f][A-Za-z]", text))
    mixed = sum(a.islower() and b.isupper() and b > "\x7f" for a, b in pairs)
    return (signs + scripts + mixed) * math.log(ALIEN) + (small + capital) * math.log(ODD_CASE)
