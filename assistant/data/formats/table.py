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
    "laughs": Format(
        "lines of sitcoms at which the audience laughed or did not, .csv or .jsonl",
        "the seinfeld_laugh_corpus (ranyadshalom on GitHub), as text, context, label, source",
        takes=frozenset({"seed", "hold_out"}),
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

LISTS = (1, 2, 3)  # official splits of UCF-101 and HMDB-51


@dataclass(frozen=True)
class LabelledSet:
    """A dataset of labelled clips, or of segments of clips."""

    holds: str
    origin: str
    lists: bool = False  # whether it has LISTS


LABELLED = {
    "kinetics": LabelledSet(
        "train.csv, val.csv (or validate.csv), test.csv, or one of them",
        "the Kinetics project (400, 600 or 700; clips: the CVD Foundation's copy)",
    ),
    "activitynet": LabelledSet(
        "activity_net.v1-3.min.json", "the ActivityNet project, version 1.3"
    ),
    "charades": LabelledSet(
        "Charades_v1_classes.txt, Charades_v1_train.csv, Charades_v1_test.csv",
        "the Charades project of AI2",
    ),
    "ucf101": LabelledSet(
        "trainlist01.txt, testlist01.txt (to 03)", "the UCF101 project", lists=True
    ),
    "hmdb51": LabelledSet("<label>_test_split1.txt (to 3)", "the HMDB51 project", lists=True),
}
