"""Subtitle files that lie beside a clip, by their names."""

import re
from pathlib import Path

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
FOLDERS = ("sub", "subs", "subtitle", "subtitles")
LANGUAGES = (
    "arabic bengali bulgarian catalan chinese croatian czech danish dutch english estonian farsi "
    "filipino finnish french german greek hebrew hindi hungarian icelandic indonesian italian "
    "japanese korean latvian lithuanian malay mandarin norwegian persian polish portuguese "
    "romanian russian serbian slovak slovenian spanish swedish tamil telugu thai turkish "
    "ukrainian urdu vietnamese brazilian european latin american simplified traditional"
)
FLAGS = "auto|cc|default|forced|full|hi|orig|sdh|subs?|subtitles?"
LANGUAGE = rf"(?:{LANGUAGES.replace(' ', '|')})"
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


def sidecars(video: Path) -> list[Path]:
    """``clip.srt``, ``clip.en.vtt``, ``clip.mp4.srt``, ``Subs/2_English.srt``: the likeliest first.

    The plain name comes before English, that before other languages, and what is forced last; a
    name in other case counts where nothing else is called so. A folder of subtitles is that of a
    clip that lies alone, a folder in it that of the clip it is called after.
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

    beside = listed(video.parent)
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
            re.match(r"[\W_]*(?:en\b|eng|en_)", said) is None,
            not path.name.startswith(video.stem),
            SUFFIXES.index(path.suffix.lower()),
            path.name,
        )

    return [path for path, _ in sorted(found, key=order)]
