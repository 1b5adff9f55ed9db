"""The formats as a person sees them: what each holds and where it is to be got; loads no reader."""

from dataclasses import dataclass

MISSING = ("null", "drop", "error")  # what becomes of a question whose clip is not there


@dataclass(frozen=True)
class Format:
    """One dataset format."""

    holds: str
    origin: str
    missing: str = "error"  # of MISSING, unless the person says otherwise
    splits: tuple[str, ...] = ()  # what --split may say; the first is the default
    takes: frozenset[str] = frozenset()  # the other options of a Source


FORMATS = {
    "mustard": Format(
        "sarcasm in sitcoms: sarcasm_data.json, splits_5fold.json or split_indices.p",
        "the MUStARD project (soujanyaporia/MUStARD on GitHub; clips: see its README)",
        missing="null",
        splits=("folds", "paper", "independent"),
        takes=frozenset({"fold", "seed", "speakers"}),
    ),
    "urfunny": Format(
        "humor in talks: language_sdk.pkl, humor_label_sdk.pkl, data_folds.pkl; or items.json",
        "the UR-FUNNY project, version 2 (ROC-HCI/UR-FUNNY on GitHub: features, raw videos)",
        missing="null",
    ),
    "texts": Format(
        "short texts, .csv or .jsonl: text and humor (or sarcasm)",
        "the ColBERT humor set (Moradnejad on GitHub), or a table of your own",
        takes=frozenset({"seed"}),
    ),
    "qaego4d": Format(
        "memory of first-person clips: annotations.<train|val|test>.json",
        "the QaEgo4D project (lbaermann/qaego4d on GitHub; clips: Ego4D, NLQ task)",
        takes=frozenset({"moments"}),
    ),
    "clevrer": Format(
        "events of colored things: train.json, validation.json",
        "the CLEVRER project of MIT CSAIL (questions and videos)",
    ),
    "mvbench": Format(
        "four tasks on CLEVRER's clips: moving_direction.json and three more",
        "the MVBench data of OpenGVLab (clips: CLEVRER's validation videos)",
    ),
    "youcook2": Format(
        "steps of recipes: youcookii_annotations_trainval.json",
        "the YouCook2 project of the University of Michigan (clips: YouTube, by their ids)",
    ),
}
