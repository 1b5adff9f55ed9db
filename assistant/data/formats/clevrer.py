"""CLEVRER: what happened, why, what next, and what if not, in 5 s clips (Yi et al., ICLR 2020).

    train.json, validation.json:
        [{"scene_index", "video_filename": "video_00000.mp4", "questions": [
            {"question_id", "question", "question_type": "descriptive", "answer"},
            {"question_id", "question", "question_type": "explanatory" | "predictive" |
             "counterfactual", "choices": [{"choice_id", "choice", "answer": "correct" | "wrong"}]},
         ...]}, ...]
    clips    video_00000.mp4 (in video_train/video_00000-01000/ ...)

Any number of choices may be right, so each becomes a question of its own, answered yes or no: that
is how the authors count. The id is video, question, choice: a question is right if all of its are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.data.formats.source import Reading, Record, Source, entry, read_json, said
from assistant.errors import InputError

FILES = {"train": "train", "validation": "dev"}  # the answers of the test split are not public
CAUSAL = ("explanatory", "predictive", "counterfactual")
VOCABULARY = (  # of the descriptive answers: which of these it is follows from the question
    ("yes", "no"),
    ("0", "1", "2", "3", "4", "5"),
    ("cube", "sphere", "cylinder"),
    ("metal", "rubber"),
    ("gray", "red", "blue", "green", "brown", "cyan", "purple", "yellow"),
)


def read(source: Source) -> Reading:
    """Every question; the authors' validation split is dev.

    Raises:
        InputError: a file is missing or wrong.
    """
    if source.path.is_file():
        names = [name for name in FILES if source.path.name.startswith(name)]
        if not names:
            raise InputError(f"{source.path}: give {' or '.join(FILES)}.json; others lack answers")
        files = {names[0]: source.path}
    else:
        source.beside(*(f"{name}.json" for name in FILES))  # one of them at least
        both = {name: source.folder / f"{name}.json" for name in FILES}
        files = {name: path for name, path in both.items() if path.is_file()}
    records: list[Record] = []
    for name, path in files.items():
        data = read_json(path)
        if not isinstance(data, list):
            raise InputError(f"{path}: is no list of scenes; get it from {source.origin}")
        for number, scene in enumerate(data):
            records += _scene(scene, f"{path.name}: scene {number}", FILES[name])
    lacking = [f"{name}.json is not there" for name in FILES if name not in files]
    return Reading(records, [] if source.path.is_file() else lacking)


def _scene(scene: Any, where: str, split: str) -> Iterator[Record]:
    scene = entry(scene, where, ("video_filename", "questions"))
    clip = Path(said(scene["video_filename"], f"{where}: video_filename"))
    video, folder = clip.stem, next(name for name, part in FILES.items() if part == split)
    if not isinstance(scene["questions"], list):
        raise InputError(f"{where}: its questions are no list; get the file anew")
    for item in scene["questions"]:
        item = entry(item, f"{where}: a question", ("question_id", "question", "question_type"))
        name = f"{video}-{item['question_id']}"
        question = said(item["question"], f"{where}: question {item['question_id']}")
        base = {
            "video": f"video_{folder}/{clip.name}",
            "type": item["question_type"],
            "split": split,
        }
        if base["type"] == "descriptive":
            item = entry(item, f"{where}: question {item['question_id']}", ("answer",))
            answer = said(item["answer"], f"{where}: the answer {item['question_id']}")
            offered = next((list(words) for words in VOCABULARY if answer in words), None)
            choices = {} if offered is None else {"choices": offered}
            yield {"id": name, "question": question, "answer": answer, **base, **choices}
        elif base["type"] in CAUSAL:
            yield from _choices(item, name, question, base, where)
        else:
            known = ", ".join(("descriptive", *CAUSAL))
            raise InputError(f"{where}: question_type is {base['type']!r:.40}; known are {known}")


def _choices(
    item: dict[str, Any], name: str, question: str, base: Record, where: str
) -> Iterator[Record]:
    choices = entry(item, f"{where}: question {item['question_id']}", ("choices",))["choices"]
    if not isinstance(choices, list):
        raise InputError(f"{where}: the choices of question {item['question_id']} are no list")
    for choice in choices:
        choice = entry(choice, f"{where}: a choice", ("choice_id", "choice", "answer"))
        if choice["answer"] not in ("correct", "wrong"):
            label = choice["answer"]
            raise InputError(f"{where}: the label {label!r:.40} of a choice; known: correct, wrong")
        text = said(choice["choice"], f"{where}: a choice").rstrip(".")
        yield {
            "id": f"{name}-{choice['choice_id']}",
            "question": f"{question} {text}: yes or no?",
            "answer": "yes" if choice["answer"] == "correct" else "no",
            "choices": ["yes", "no"],
            **base,
        }
