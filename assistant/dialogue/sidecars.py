"""Subtitle files that lie beside a clip, by their names."""

import re
from pathlib import Path

from assistant.core.languages import NAMES, OTHER_NAMES, TAGS, own_language

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".sub", ".json", ".json3", ".jsonl", ".tsv")
FOLDERS = ("sub", "subs", "subtitle", "subtitles")
WORDS = "european latin american simplified traditional"  # beside a language's name
FLAGS = "auto|cc|default|forced|full|hi|orig|sdh|subs?|subtitles?"
LANGUAGE = rf"(?:{'|'.join([*WORDS.split(), *OTHER_NAMES, *NAMES.values()]).lower()})"
FLAGGED = rf"(?:[ ._([-]+(?:{FLAGS})[)\]]?)*"
# ".en", ".zh-Hans.default", ".English (SDH)", "_english"; in a folder of subtitles "2_English", too
TAG = re.compile(
    rf"{FLAGGED}(?:\.[a-z]{{2,3}}(?:[-_][a-z0-9]{{2,8}})*|(?:[ ._([-]+{LANGUAGE}[)\]]?)+)?{FLAGGED}"
)
NUMBER = re.compile(r"\d{1,3}[ ._-]+")


def tag_of(name: str, clip: str) -> str | None:
    """What the name of a subtitle file says beside that of its clip: ".en"; None: of another."""
    name, stem = Path(name).stem.lower(), Path(clip).stem.lower()
    rest = name[len(stem) :].removeprefix(Path(clip).suffix.lower())
    return rest if name.startswith(stem) and TAG.fullmatch(rest) else None


def tail_of(name: str) -> str:
    """The same without the clip: what the end of the name may say."""
    found = re.search(rf"(?:{TAG.pattern})\Z", Path(name).stem.lower())
    return found[0] if found else ""


def is_forced(path: Path) -> bool:
    """Whether it says a few lines only, by its name."""
    return "forced" in tail_of(path.name)


def language_in(tag: str) -> str | None:
    """``"en"`` of ".en-US.sdh" and "_english (SDH)": the first language that is named."""
    words = re.findall(r"[a-z]+", tag.lower())
    return next(
        (TAGS[word] for word in words if word in TAGS and word not in FLAGS.split("|")), None
    )


def sidecars(video: Path) -> list[Path]:
    """``clip.srt``, ``clip.en.vtt``, ``clip.mp4.srt``, ``Subs/2_English.srt``: the likeliest first.

    The plain name comes before the person's language, that before English, that before others, and
    what is forced last; a name in other case counts where nothing else is called so. A folder of
    subtitles is that of a clip that lies alone, a folder in it that of the clip it is called after.
    """

    def listed(folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError:  # no such folder, or not ours to list: nothing lies there
            return []

    def tag(path: Path) -> str | None:
        named = tag_of(path.name, video.name)
        bare = path.parent.name == video.stem or (alone and path.parent != video.parent)
        if named is None and bare:
            return tag_of("." + NUMBER.sub("", path.name, count=1), "")
        return named

    own, beside = own_language(), listed(video.parent)
    alone = sum(path.suffix.lower() == video.suffix.lower() for path in beside) < 2
    folders = [path for path in beside if path.name.lower() in FOLDERS]
    folders += [path / video.stem for path in folders]
    inside = [file for folder in folders for file in listed(folder)]
    found = [
        (path, said)
        for path in (*beside, *inside)
        if path.suffix.lower() in SUFFIXES and (said := tag(path)) is not None and path.is_file()
    ]

    def order(named: tuple[Path, str]) -> tuple[bool | int | str, ...]:
        path, said = named
        return (
            "forced" in said,
            path.parent != video.parent,
            said != "",
            language_in(said) != own,
            language_in(said) != "en",
            not path.name.startswith(video.stem),
            SUFFIXES.index(path.suffix.lower()),
            path.name,
        )

    return [path for path, _ in sorted(found, key=order)]
