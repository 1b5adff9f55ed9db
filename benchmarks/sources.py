"""What the sources say of photos and how much of it their captions hold, and what a clip costs.

    python benchmarks/sources.py --photos DATA --features RUN/features [--split test] [--clip CLIP]

DATA holds Flickr8k's folder; RUN is a run of ``assistant pretrain space``, whose features are used
again. Of a phrase, captions that are silent deny it (of the sky they say too little: only photos
that speak of it count), so that precision is a lower bound. A sentence is right where captions say
each of its parts; CIDEr is of the first sentence of each photo that has one, against all captions
of the photo, beside a caption of another photo and the caption of the most similar photo in train.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from assistant import load
from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.evaluation.metrics import plain_tokens
from assistant.media.video import read_clip
from assistant.model.features import FeatureKey, content_digest, encode_clip
from assistant.model.space.mini import MiniSpace
from assistant.sources import SOURCES, Look, perceiver
from assistant.sources.bank import bank_of
from assistant.sources.captions import compose
from assistant.sources.lexicon import WHO, load_lexicon
from assistant.training.pretraining.captions.lexicon import load_lexicon as caption_lexicon
from assistant.training.pretraining.photos import photo_table
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.judged import columns, judge, pictures, truth_of
from assistant.training.space.photos import PhotoSet
from assistant.training.space.run import open_sets
from assistant.training.space.trainer import Data
from assistant.training.space.truth import Truth
from assistant.vqa.assistants import Assistant
from assistant.weights.spaces import OWN_CONFIG

SET = "flickr8k"
FRAMES = 8  # of a clip
ROUNDS = 3  # the least time of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="without it only a clip is timed")
    parser.add_argument("--features", type=Path)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--sentences", type=int, default=300, help="photos they are made for")
    parser.add_argument("--clip", type=Path)
    args = parser.parse_args()
    folder = adapters_dir() / "mini" / "space"
    assistant = load("mini")
    if args.photos is not None:
        config = from_yaml(SpaceTrainingConfig, folder / OWN_CONFIG)
        photos = open_sets(config, args.photos)[SET]
        encoder = assistant.model.encoder
        plain = [*photos.splits["dev"], *photos.splits["test"]]
        table = photo_table(args.features, encoder, photos, plain, viewed=photos.splits["train"])
        data = Data({SET: photos}, {SET: table}, None)
        of_photos(MiniSpace.load(folder), data, args.split, encoder.names, args.sentences)
    if args.clip is not None:
        of_clip(assistant, args.clip)


def of_photos(
    space: MiniSpace, data: Data, split: str, class_names: Sequence[str], sentences: int
) -> None:
    """Attributes, phrases by group, and sentences, of the photos of a split."""
    told, names = data.sets[SET].texts, data.sets[SET].splits[split]
    print(f"{space.fingerprint}, {len(names)} photos of {SET} {split}\n")
    print("| source | a photo | precision, % | recall, % | photos with a right one, % |")
    print("|---|---|---|---|---|")
    attributes = perceiver("attributes")
    looks = [look_at(space, data, name, class_names) for name in names]
    said = [{item.name for item in attributes.perceive(look)} for look in looks]
    kinds = caption_lexicon().nouns
    called = [
        [name, name.split()[-1], *([kinds[name.lower()].concept] if name.lower() in kinds else ())]
        for name in class_names
    ]
    truth = Truth(called)
    right = []
    for name, own in zip(names, said, strict=True):
        held = dict(zip(class_names, truth(told[name]), strict=True)) if own else {}
        right.append({thing for thing in own if held[thing]})
    row("attributes", said, right, None)

    lexicon, bank = load_lexicon(), bank_of(space)
    vectors = pictures(space, data, SET, split)
    judged = judge(data.sets[SET], names, vectors, truth_of(lexicon), lexicon)
    said_by_photo = [{item.name for item in perceiver("phrases").perceive(look)} for look in looks]
    for kind, own in columns(lexicon).items():
        if kind == WHO:
            continue
        found, good, true = [], [], 0
        for place, words in enumerate(said_by_photo):
            known = {
                bank.phrases[i][1]: bool(judged.true[place, i])
                for i in own
                if judged.known[place, i]
            }
            found.append(words & known.keys())
            good.append({word for word in found[-1] if known[word]})
            true += sum(known.values())
        row(f"phrases: {kind}", found, good, true)
    of_sentences(space, data, names[:sentences], looks, judged.true, vectors)


def row(name: str, said: list[set[str]], right: list[set[str]], true: int | None) -> None:
    """One line; ``true``: how many there were to say."""
    count, good = sum(map(len, said)), sum(map(len, right))
    recall = f"{100 * good / max(1, true):.1f}" if true is not None else ""
    some = 100 * np.mean([bool(own) for own in right])
    print(
        f"| {name} | {count / len(said):.2f} | {100 * good / max(1, count):.1f} | {recall} "
        f"| {some:.1f} |"
    )


def of_sentences(
    space: MiniSpace,
    data: Data,
    names: Sequence[str],
    looks: Sequence[Look],
    true: torch.Tensor,
    vectors: torch.Tensor,
) -> None:
    """Composed sentences: which are right, and how near the first is to what people wrote."""
    photos, lexicon, bank = data.sets[SET], load_lexicon(), bank_of(space)
    found, good, first = [], [], {}
    for place, name in enumerate(names):
        parts = {one.text: one.parts for one in compose(bank, vectors[place : place + 1], lexicon)}
        items = [item.name for item in perceiver("captions").perceive(looks[place])]
        found.append(set(items))
        good.append({text for text in items if true[place, list(parts[text])].all()})
        if items:
            first[name] = items[0]
    row("captions", found, good, None)
    others = {name: photos.texts[names[place - 1]] for place, name in enumerate(names)}
    train = pictures(space, data, SET, "train")
    near = (vectors[: len(names)] @ train.T).argmax(1).tolist()
    taught = photos.splits["train"]
    nearest = {name: photos.texts[taught[i]] for name, i in zip(names, near, strict=True)}
    keys = list(first)
    own = cider(keys, photos, {name: (first[name],) for name in keys})
    of_others, of_nearest = cider(keys, photos, others), cider(keys, photos, nearest)
    print(f"\nCIDEr of {len(keys)} of {len(names)} photos, the first sentence: {own.mean():.3f}")
    print(f"  best caption of another photo: {of_others.mean():.3f}")
    print(f"  best caption of the most similar photo in train: {of_nearest.mean():.3f}")
    print(f"  better than the best of another photo: {100 * (own > of_others).mean():.1f} %\n")


def cider(keys: Sequence[str], photos: PhotoSet, told: dict[str, Sequence[str]]) -> np.ndarray:
    """Each photo's best, ``(N,)``, of the sentences that are told of it."""
    from pycocoevalcap.cider.cider import Cider

    def tokens(texts: Sequence[str]) -> list[str]:
        return [" ".join(plain_tokens(text)) for text in texts]

    truth = {name: tokens(photos.texts[name]) for name in keys}
    most = max(len(told[name]) for name in keys)
    scores = [
        Cider().compute_score(
            truth, {name: tokens([told[name][min(k, len(told[name]) - 1)]]) for name in keys}
        )[1]
        for k in range(most)
    ]
    return np.max(scores, axis=0)


def look_at(space: MiniSpace, data: Data, name: str, class_names: Sequence[str]) -> Look:
    patches, classes = data.pictures(SET, [name])
    return Look(patches, classes, class_names, (0.0,), "", no_pictures, lambda: space)


def no_pictures(count: int, side: int) -> None:
    raise SystemExit("a photo's features have no pictures")


def of_clip(assistant: Assistant, path: Path) -> None:
    """Seconds of each source, beside opening the clip: decoding and encoding it."""
    torch.set_num_threads(1)
    model = assistant.model
    model.space  # noqa: B018, loaded before anything is timed
    key = FeatureKey(content_digest(path), None, None, FRAMES, "auto", model.encoder_fingerprint)
    best = {"opening": least(lambda: encode_clip(path, key, model))}
    seen = encode_clip(path, key, model)
    look = Look(
        seen.patches,
        seen.classes,
        model.class_names,
        seen.seconds,
        seen.encoder,
        lambda count, side: pictures_of(path, count, side),
        lambda: model.space,
    )
    for name in SOURCES:
        source = perceiver(name)
        if missing := source.missing():
            print(f"{name}: {missing}")
        else:
            best[name] = least(partial(source.look_at, name, look))
    print(f"{path.name}, {len(seen.seconds)} frames, one thread, least of {ROUNDS}\n")
    print("| | seconds | of opening |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds:.3f} | {seconds / best['opening']:.2f} |")


def pictures_of(path: Path, count: int, side: int) -> tuple[np.ndarray, tuple[float, ...]]:
    clip = read_clip(path, frames=count, max_side=side)
    return clip.frames, clip.seconds


def least(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
