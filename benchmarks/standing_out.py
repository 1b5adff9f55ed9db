"""Of what a photo is said to be about, is it the likeliest phrase, or the one that stands out?

    python benchmarks/standing_out.py --photos DATA --features RUN/features [--split dev]

DATA holds the sets of the joint space's recipe; RUN is a run of ``assistant pretrain space`` or
``reading``, whose features are used again. For each set: the share of photos with a true phrase
(of activities, scenes, weather and things, but for persons) for which the first phrase is true, or
one of the first three, when phrases are ranked by probability, and when by how much likelier they
are than in the mean training photo. Then how often the first activity is true, by how far it stands
out: what `assistant.sources.phrases` takes for a guess, and for sure.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import torch

from assistant import load
from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.model.space.mini import MiniSpace
from assistant.sources.bank import bank_of
from assistant.sources.lexicon import ACTIVITIES, load_lexicon
from assistant.sources.phrases import LIFTED, PERSONS
from assistant.training.pretraining.photos import photo_table
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.judged import read_photos
from assistant.training.space.run import open_sets
from assistant.training.space.trainer import Data
from assistant.weights.spaces import OWN_CONFIG

FIRST = 3
EDGES = (0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0)  # log-odds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    args = parser.parse_args()
    folder = adapters_dir() / "mini" / "space"
    config, encoder = (
        from_yaml(SpaceTrainingConfig, folder / OWN_CONFIG),
        load("mini").model.encoder,
    )
    sets = open_sets(config, args.photos)
    tables = {
        name: photo_table(args.features, encoder, photos, photos.splits[args.split])
        for name, photos in sets.items()
    }
    space, lexicon = MiniSpace.load(folder), load_lexicon()
    bank = bank_of(space)
    assert bank.usual is not None
    able = torch.tensor([g in LIFTED and name not in PERSONS for g, name in bank.phrases])
    done = torch.tensor([group == ACTIVITIES for group, _ in bank.phrases])
    print(f"{space.fingerprint}, {args.split}\n")
    print("| photos | n | likeliest: first, % | first three | stands out: first | first three |")
    print("|---|---|---|---|---|---|")
    lifts, hits = [], []
    for name, photos in read_photos(space, Data(sets, tables, None), lexicon, args.split).items():
        logits = bank.logits(photos.vectors)
        about = (photos.true & able).any(1)
        shares = [
            100 * float(right.float().mean())
            for scores in (logits, logits - bank.usual)
            for right in _first(scores[about], photos.true[about], able)
        ]
        print(f"| {name} | {int(about.sum())} | " + " | ".join(f"{s:.0f}" for s in shares) + " |")
        acts = (photos.true & done).any(1)
        own = (logits - bank.usual)[acts].masked_fill(~done, -torch.inf)
        lifts.append(own.amax(1))
        hits.append(torch.stack(_first(own, photos.true[acts], done), 1))
    lift, hit = torch.cat(lifts), torch.cat(hits).float()
    print("\n| first activity stands out by | n | true, % | one of the first three |")
    print("|---|---|---|---|")
    for low, high in pairwise(EDGES):
        among = (lift >= low) & (lift < high)
        if among.any():
            one, three = (100 * hit[among].mean(0)).tolist()
            print(f"| {low:g} to {high:g} | {int(among.sum())} | {one:.0f} | {three:.0f} |")


def _first(
    scores: torch.Tensor, true: torch.Tensor, able: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``(N,)``: whether the first phrase is true; whether one of the first three is."""
    best = scores.masked_fill(~able, -torch.inf).topk(FIRST, dim=1).indices
    right = true.gather(1, best)
    return right[:, 0], right.any(1)


if __name__ == "__main__":
    main()
