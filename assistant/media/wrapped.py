"""What a clip is wrapped in: encryption, or a photo that holds it. Runs in the reader's process."""

import mmap
import re
from pathlib import Path

import av

from assistant.errors import VideoError

ENCRYPTED = "is encrypted (copy protection): give a copy that is not"
FAIRPLAY = re.compile(rb"drm[is]\0{6}")  # a sample entry of Apple's protection
ASF_DRM = (  # its (extended) content encryption objects
    bytes.fromhex("fbb31122 23bdd211 b4b700a0 c955fc6e"),
    bytes.fromhex("14e68a29 2226174c b935dae0 7ee9289c"),
)
HEAD = 1 << 20  # bytes
INDEX = 32 << 20  # bytes: an MP4's index is at its start or its end
TS_PACKET, TS_SYNC, TS_SCRAMBLED = 188, 0x47, 0x80
PHOTOS = (b"\xff\xd8\xff", b"ftypheic", b"ftypheix", b"ftypmif1")
INSIDE = ",end,0,,:"  # between the range and the path of a part of a file (subfile protocol)
MP4_START = re.compile(rb"\0\0\0[\x10-\x60]ftyp[ -~]{4}")


def check_protection(container: av.container.InputContainer, stream: av.stream.Stream) -> None:
    """Raises VideoError for a stream that says it is encrypted; others say so in each packet."""
    kinds = container.format.name.split(",")
    protected = "enc_key_id" in stream.metadata  # of Matroska
    if not protected and {"asf", "mpegts"} & set(kinds):
        with stored(container).open("rb") as file:
            head = file.read(HEAD)
        protected = scrambled(head) if "mpegts" in kinds else any(map(head.__contains__, ASF_DRM))
    if protected:
        raise VideoError(ENCRYPTED)


def stored(container: av.container.InputContainer) -> Path:
    """The file, also where only a part of it was opened."""
    return Path(container.name.partition(INSIDE)[2] or container.name)


def check_fairplay(container: av.container.InputContainer) -> None:
    """Raises VideoError where a stream is unknown because Apple's protection hides it."""
    with stored(container).open("rb") as file:
        head = file.read(INDEX)
        file.seek(max(len(head), stored(container).stat().st_size - INDEX))
        if FAIRPLAY.search(head) or FAIRPLAY.search(file.read()):
            raise VideoError(ENCRYPTED)


def scrambled(head: bytes) -> bool:
    """Whether most packets of an MPEG transport stream are marked as such."""
    flags = head[head.find(TS_SYNC) :]
    marks = [flags[i + 3] for i in range(0, len(flags) - 3, TS_PACKET) if flags[i] == TS_SYNC]
    return 2 * sum(mark & TS_SCRAMBLED > 0 for mark in marks) > len(marks)


def clip_inside(path: str) -> int:
    """Where in a photo an MP4 begins (Motion Photo: at the file's end); 0 if there is none."""
    with Path(path).open("rb") as file:
        head = file.read(12)
        if not (head.startswith(PHOTOS[0]) or head[4:] in PHOTOS):
            return 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = MP4_START.search(data, len(head))
            return found.start() if found else 0
