"""What tells the answers about generated clips with sound: words, sight, sound, or all of them.

    python benchmarks/sounding.py --train 600 --test 300

No pixel and no sample is read: gradient boosting gets what the generator knows, so that a share is
what a perfect eye or a perfect ear could guess alone. ``words``: the kinds of sound that a question
names, in their order, and its wording. ``sight``: when the objects that it names move, and how many
do. ``sound``: what is heard, when and for how long, and which of two named ones first. ``both``:
these, and what is heard while each named object moves.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from assistant.data.scenes.clips import ClipExample, sounding_example
from assistant.data.scenes.dataset import SPLITS
from assistant.data.scenes.questions import Question
from assistant.data.scenes.sound_questions import BY_BOTH, BY_SOUND
from assistant.data.scenes.sounding import SoundingScene
from assistant.data.scenes.timbres import KINDS, SAID

SENSES = ("words", "sight", "sound", "both")
NEVER = -1.0  # a time
MOST_SOUNDS = 3
AFTER = 0.05  # seconds after a stop in which a sound still begins


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=600, metavar="N", help="clips")
    parser.add_argument("--test", type=int, default=300, metavar="N", help="clips")
    parser.add_argument("--seed", type=int, default=17)
    args = parser.parse_args()
    drawn = {
        split: [
            sounding_example(index, args.seed, SPLITS.index(split), split) for index in range(count)
        ]
        for split, count in (("train", args.train), ("test", args.test))
    }
    print("| type | questions to learn from, asked | majority | " + " | ".join(SENSES) + " |")
    print("|---|---|---|" + "---|" * len(SENSES))
    for kind in (*BY_SOUND, *BY_BOTH):
        train, test = (asked(drawn[split], kind) for split in ("train", "test"))
        truth = np.array([place_of(question) for _, question in test])
        known = np.array([place_of(question) for _, question in train])
        majority = (truth == np.bincount(known).argmax()).mean()
        shares = [f"{share(train, known, test, truth, sense):.0%}" for sense in SENSES]
        cells = [kind, f"{len(train)}, {len(test)}", f"{majority:.0%}", *shares]
        print("| " + " | ".join(cells) + " |", flush=True)


Asked = tuple[ClipExample[SoundingScene], Question]


def asked(clips: Sequence[ClipExample[SoundingScene]], kind: str) -> list[Asked]:
    return [(item, q) for item in clips for q in item.questions if q.type == kind]


def place_of(question: Question) -> int:
    """Of the answer: among the choices in the order in which the question names them."""
    named = sorted(question.choices, key=question.question.find)
    if question.type in ("heard", "heard_order", "sounding_object"):
        return named.index(question.answer)
    fixed = KINDS if question.answer in KINDS else question.choices
    return list(fixed).index(question.answer)


def share(
    train: Sequence[Asked], known: np.ndarray, test: Sequence[Asked], truth: np.ndarray, sense: str
) -> float:
    """Of the test questions that are answered rightly by one sense."""
    learner = HistGradientBoostingClassifier(max_depth=4, max_iter=150, random_state=0)
    learner.fit(np.array([told(*one, sense) for one in train]), known)
    found = learner.predict(np.array([told(*one, sense) for one in test]))
    return float((found == truth).mean())


def told(item: ClipExample[SoundingScene], question: Question, sense: str) -> list[float]:
    parts = words(question)
    if sense in ("sight", "both"):
        parts += sight(item.clip, question)
    if sense in ("sound", "both"):
        parts += sound(item.clip, question)
    if sense == "both":
        parts += meanwhile(item.clip, question)
    return parts


def words(question: Question) -> list[float]:
    text = question.question
    said = [max(text.find(kind), text.find(SAID[kind])) for kind in KINDS]
    order = np.argsort(np.argsort(said)) * (np.array(said) >= 0) + (np.array(said) >= 0)
    forms = [float(word in text) for word in ("first", "last", "moved", "stopped", "hit", "make")]
    offered = [float(kind in question.choices) for kind in KINDS]
    return [*map(float, order), *forms, *offered]


def sight(clip: SoundingScene, question: Question) -> list[float]:
    moves = {move.index: move for move in clip.moves}
    found = [float(len(moves)), float(len(clip.moving.collisions))]
    for indices in (*question.about, (NEVER,), (NEVER,))[:2]:
        move = moves.get(int(indices[0]))
        found += [NEVER, NEVER] if move is None else [move.start, move.stop]
    return found


def sound(clip: SoundingScene, question: Question) -> list[float]:
    text = re.sub(r"[,?]", " ", question.question) + " "
    named = sorted((kind for kind in KINDS if f" {kind} " in text), key=text.find)
    starts = [min((s.start for s in clip.sounds if s.kind == k), default=NEVER) for k in named]
    found = [starts[0] - starts[1] if len(starts) == 2 else 0.0]
    for kind in KINDS:
        onsets = [onset for one in clip.sounds if one.kind == kind for onset in one.onsets]
        found += [float(len(onsets)), min(onsets, default=NEVER), max(onsets, default=NEVER)]
    for number in range(MOST_SOUNDS):
        there = clip.sounds[number : number + 1]
        found += [NEVER, NEVER] if not there else [there[0].start, there[0].length]
        found += [float(bool(there) and there[0].kind == kind) for kind in KINDS]
    return found


def meanwhile(clip: SoundingScene, question: Question) -> list[float]:
    """Which kinds are heard while each named object moves, or as it stops."""
    moves = {move.index: move for move in clip.moves}
    found = []
    for indices in (*question.about, (NEVER,), (NEVER,))[:2]:
        move = moves.get(int(indices[0]))
        for kind in KINDS:
            starts = [one.start for one in clip.sounds if one.kind == kind and move is not None]
            inside = [s for s in starts if move and move.start <= s <= move.stop + AFTER]
            found.append(float(bool(inside)))
    return found


if __name__ == "__main__":
    main()
