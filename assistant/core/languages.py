"""Languages by their tags (ISO 639, two letters or three; BCP 47) and English names."""

import os
import re
from collections.abc import Mapping

# the tag that stands for a language here; others; its name
_TABLE = """
af afr Afrikaans | ar ara Arabic | az aze Azerbaijani | be bel Belarusian | bg bul Bulgarian
bn ben Bengali | bs bos Bosnian | ca cat Catalan | cs ces cze Czech | cy cym wel Welsh
da dan Danish | de deu ger German | el ell gre Greek | en eng English | es spa Spanish
et est ekk Estonian | eu eus baq Basque | fa fas per pes Persian | fi fin Finnish
fr fra fre French | ga gle Irish | gl glg Galician | gu guj Gujarati | he heb iw Hebrew
hi hin Hindi | hr hrv scr Croatian | hu hun Hungarian | hy hye arm Armenian
id ind in Indonesian | is isl ice Icelandic | it ita Italian | ja jpn Japanese
ka kat geo Georgian | kk kaz Kazakh | km khm Khmer | kn kan Kannada | ko kor Korean
la lat Latin | lt lit Lithuanian | lv lav lvs Latvian | mk mkd mac Macedonian
ml mal Malayalam | mn mon Mongolian | mr mar Marathi | ms msa may zsm Malay
my mya bur Burmese | ne nep Nepali | nl nld dut Dutch | no nor nb nob nn nno Norwegian
pa pan Punjabi | pl pol Polish | pt por pob Portuguese | ro ron rum mo mol Romanian
ru rus Russian | si sin Sinhala | sk slk slo Slovak | sl slv Slovenian | sq sqi alb Albanian
sr srp scc Serbian | sv swe Swedish | sw swa swh Swahili | ta tam Tamil | te tel Telugu
th tha Thai | tl tgl fil Filipino | tr tur Turkish | uk ukr Ukrainian | ur urd Urdu
vi vie Vietnamese | yi yid ji Yiddish | zh zho chi cmn yue Chinese
"""
_ROWS = [row.split() for row in re.split(r"[|\n]", _TABLE) if row.strip()]
NAMES = {row[0]: row[-1] for row in _ROWS}
OTHER_NAMES = {"farsi": "fa", "mandarin": "zh", "cantonese": "zh", "brazilian": "pt"}
TAGS = {
    **{tag: row[0] for row in _ROWS for tag in row[:-1]},
    **{name.lower(): tag for tag, name in NAMES.items()},
    **OTHER_NAMES,
}
NO_LANGUAGE = ("", "c", "posix", "und", "mis", "mul", "qaa", "zxx")
LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set says it


def language_of(tag: str | None) -> str | None:
    """``"en"`` of "eng", "en-US", "en_GB.UTF-8" and "English"; None where no language is named.

    A tag that the table lacks is a language of its own.
    """
    first = re.split(r"[-_.@ ]", (tag or "").strip().lower(), maxsplit=1)[0]
    if first in NO_LANGUAGE or not first.isalpha():
        return None
    return TAGS.get(first, first)


def name_of(language: str) -> str:
    """``"English"`` of "en"; a language that the table lacks is called by its tag."""
    return NAMES.get(language, language)


def own_language(environ: Mapping[str, str] = os.environ) -> str | None:
    """The language of the person who runs this, by the locale; None: it names none."""
    return language_of(next((environ[name] for name in LOCALE if environ.get(name)), None))
