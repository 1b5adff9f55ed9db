"""MVBench's four tasks on CLEVRER clips, the ones MTransLLAMA reports (Li et al., CVPR 2024).

moving_direction.json, moving_count.json, moving_attribute.json, object_existence.json:
    [{"video": "video_11022.mp4", "question", "candidates": [...], "answer"}, ...]
clips    clevrer/video_validation/video_11022.mp4
"""

from pathlib import Path

from assistant.data.formats.source import Reading, Source, entry, read_json, said
from assistant.errors import InputError

TASKS = ("moving_direction", "moving_count", "moving_attribute", "object_existence")
CLIPS = "clevrer/video_validation"  # the official folder: other tasks have clips of such names
KEYS = ("video", "question", "candidates", "answer")


def read(source: Source) -> Reading:
    """Every question of the four tasks, or of the one whose file is given; all are for testing.

    Raises:
        InputError: a file is missing or wrong.
    """
    records = []
    for path in _files(source):
        data = read_json(path)
        if not isinstance(data, list):
            raise InputError(f"{path}: is no list of questions; get it from {source.origin}")
        for number, item in enumerate(data):
            where = f"{path.name}: item {number}"
            item = entry(item, where, KEYS)
            if not isinstance(item["candidates"], list):
                raise InputError(f"{where}: its candidates are no list; get the file anew")
            records.append(
                {
                    "id": f"{path.stem}-{number}",
                    "video": f"{CLIPS}/{Path(said(item['video'], f'{where}: video')).name}",
                    "question": said(item["question"], f"{where}: question"),
                    "answer": said(item["answer"], f"{where}: answer"),
                    "choices": [said(text, f"{where}: a candidate") for text in item["candidates"]],
                    "type": path.stem.replace("_", " "),
                    "split": "test",
                }
            )
    return Reading(records)


def _files(source: Source) -> list[Path]:
    if source.path.is_file():
        if source.path.stem not in TASKS:
            raise InputError(f"{source.path}: is none of {', '.join(TASKS)} (.json); give one")
        return [source.path]
    return [source.beside(f"json/{task}.json", f"{task}.json") for task in TASKS]
