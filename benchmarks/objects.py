"""What the object head knows of held-out photos: boxes, existence, numbers, colors.

    python benchmarks/objects.py --data DATA --features FOLDER

DATA holds the photos as ``assistant pretrain objects --photos`` takes them, and ``objects/
boxes.jsonl`` (or --boxes). Thresholds of existence are the best ones on dev; what is named is what
the head's own thresholds name. Labels below a score of 0.4 are neither right nor wrong. Encoded
photos are kept in FOLDER; that of a training run, RUN/features, has those of dev already.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.model.objects.config import StoredConfig
from assistant.model.objects.loading import load_objects
from assistant.training.objects.colors import colored_things
from assistant.training.objects.config import ObjectsRecipe
from assistant.training.objects.evaluate import (
    LEAST,
    Figures,
    Found,
    Truths,
    measure,
    predict,
    truths,
)
from assistant.training.objects.photos import BoxedPhotos
from assistant.training.objects.run import RECIPE, load_recipe_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, help="default: DATA/objects/boxes.jsonl")
    parser.add_argument("--head", type=Path, default=adapters_dir() / "mini" / "objects")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    args = parser.parse_args()
    net, stored = load_objects(args.head)
    recipe = from_yaml(ObjectsRecipe, args.head / RECIPE)
    boxes = args.boxes or args.data / "objects" / "boxes.jsonl"
    photos = BoxedPhotos(args.data, boxes, tuple(stored.model.classes))
    splits = tuple(dict.fromkeys(("dev", args.split)))
    table = photos.table(args.features, load_recipe_encoder(recipe), splits)
    things = colored_things(photos, stored.model)
    figures, found, known = {}, {}, {}
    for split in splits:
        keys = photos.keys(split)
        labels = [photos.labels(key) for key in keys]
        asked = [thing for thing in things if photos.split[thing.key] == split]
        found[split] = predict(net, table, keys, asked)
        known[split] = truths(labels, len(stored.model.classes))
        thresholds = figures["dev"].thresholds if "dev" in figures else None
        figures[split] = measure(found[split], labels, thresholds)
    tell(figures[args.split], found[args.split], known[args.split], stored)


def tell(figures: Figures, found: Found, known: Truths, stored: StoredConfig) -> None:
    """Print the tables of the card."""
    names = list(stored.model.classes)
    often = [kind for kind, count in figures.photos.items() if count >= LEAST]
    labelled = [kind for kind, count in figures.labelled.items() if count >= LEAST]
    away = np.abs(found.counts.numpy() - known.sure)[:, 0][known.there[:, 0]]
    print(f"{len(found.boxes)} photos; classes with {LEAST} or more of what is counted\n")
    print("| figure | value | classes |\n|---|---|---|")
    for name, values in (
        ("AP50, mean", [figures.ap50[kind] for kind in labelled]),
        ("AP50, mean of all that have a box", list(figures.ap50.values())),
        (
            "existence, balanced accuracy",
            [figures.existence[k] for k in often if k in figures.existence],
        ),
        ("number within one, where it is", [figures.within_one[kind] for kind in often]),
        ("number exact, where it is", [figures.exact[kind] for kind in often]),
    ):
        print(f"| {name} | {np.mean(values):.3f} | {len(values)} |")
    first = names[0]
    print(f"| {first}: number within one | {(away <= 1).mean():.3f} | {len(away)} photos |")
    print(f"| {first}: number exact | {(away == 0).mean():.3f} | {len(away)} photos |")
    print(f"| color asked for | {figures.color:.3f} | {figures.asked} questions |")
    right, said, there = named(found, known, stored)
    print(f"| named: precision | {right / max(1, said):.3f} | {said} names |")
    print(f"| named: recall | {right / max(1, there):.3f} | {there} there |")
    sure = [
        (int(seen.argmax()) == color)
        for color, seen in found.colors
        if seen.max() >= stored.naming.color
    ]
    print(f"| color named: right | {np.mean(sure) if sure else 0:.3f} | {len(sure)} named |")
    print("\n| class | boxes | AP50 | photos | existence | within one | exact |")
    print("|---|---|---|---|---|---|---|")
    for kind in sorted(labelled, key=lambda kind: -figures.ap50[kind]):
        row = [
            figures.existence.get(kind, float("nan")),
            figures.within_one[kind],
            figures.exact[kind],
        ]
        cells = " | ".join(f"{value:.2f}" for value in row)
        boxes, photos = figures.labelled[kind], figures.photos[kind]
        print(f"| {names[kind]} | {boxes} | {figures.ap50[kind]:.2f} | {photos} | {cells} |")


def named(found: Found, known: Truths, stored: StoredConfig) -> tuple[int, int, int]:
    """Of what the head's own thresholds name: how much is there, how much it is, how much there
    is to name."""
    limits = np.array([stored.naming.present.get(name, 2.0) for name in stored.model.classes])
    said = (found.more[..., 0].numpy() >= limits) & known.told
    return int((said & known.there).sum()), int(said.sum()), int(known.there.sum())


if __name__ == "__main__":
    main()
