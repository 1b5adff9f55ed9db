"""YouCook2: what is done in each step of a cooking video (Zhou et al., AAAI 2018).

youcookii_annotations_trainval.json
    {"database": {video: {"subset": "training" | "validation", "annotations":
        [{"id", "segment": [start, end], "sentence"}, ...], ...}, ...}}
clips    <video>.mp4, .mkv or .webm (in raw_videos/training/<recipe>/ ...)
"""

from assistant.data.formats.source import Reading, Source, entry, read_json, said
from assistant.errors import InputError

DATA = "youcookii_annotations_trainval.json"
SPLITS = {"training": "train", "validation": "test"}  # as the paper tests, MTransLLAMA, Table II
QUESTION = "What is done in this step of the recipe?"


def read(source: Source) -> Reading:
    """A caption for every segment.

    Raises:
        InputError: the file is missing or wrong.
    """
    path = source.file(DATA, f"annotations/{DATA}")
    records = []
    database = entry(read_json(path), path.name, ("database",))["database"]
    for video, data in entry(database, f"{path.name}: database", ()).items():
        where = f"{path.name}: {video!r}"
        data = entry(data, where, ("subset", "annotations"))
        split, known = SPLITS.get(str(data["subset"])), ", ".join(SPLITS)
        if split is None:
            raise InputError(f"{where}: subset is {data['subset']!r:.40}; known are {known}")
        if not isinstance(data["annotations"], list):
            raise InputError(f"{where}: its annotations are no list; get the file anew")
        for item in data["annotations"]:
            item = entry(item, f"{where}: a step", ("id", "segment", "sentence"))
            if not isinstance(item["segment"], list) or len(item["segment"]) != 2:
                raise InputError(f"{where}: step {item['id']} has no segment of two seconds")
            start, end = item["segment"]
            records.append(
                {
                    "id": f"{video}-{item['id']}",
                    "video": f"raw_videos/{data['subset']}/{video}",
                    "start": start,
                    "end": end,
                    "question": QUESTION,
                    "answer": said(item["sentence"], f"{where}: step {item['id']}"),
                    "type": "step",
                    "split": split,
                }
            )
    return Reading(records)
