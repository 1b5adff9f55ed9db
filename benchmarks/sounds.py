"""How well a head on Whisper tiny's features tells sounds: ESC-10 by its five official folds.

    python benchmarks/sounds.py ESC10 --features FOLDER [--out adapters/mini/sound] [--seed 0]

ESC10 holds audio_16k.zip and labels.tsv. For a test fold it learns from three of the other four,
with changed copies of their recordings (shifted, in noise, over music) and what is none of the
classes (made: silence, noise, hum, music, and speech by espeak-ng); the fourth is dev, on which
the epoch and the probability from which a sound is named are chosen. Heads that never learned one
of the classes then tell from which probability on such a strange sound is seldom named; that is the
one that is shipped. With --out it learns from all and is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sound_sets import OTHERS, changed, decoded, other, recordings
from torch import Tensor
from tqdm import tqdm

from assistant.model.audio import AudioEncoder, audio_encoder
from assistant.model.sounds import SoundHead, SoundNet, SoundsConfig, blocks_of

COPIES = 3  # changed ones, of each recording
MADE = 60  # of each of OTHERS
EPOCHS, BATCH, RATE, DECAY, SMOOTHING = 40, 64, 1e-3, 0.05, 0.1
FALSE = 0.02  # share of dev's other things that may be named
FALSE_UNKNOWN = 0.2  # share of recordings of a class that was never learned
UNKNOWN_EPOCHS = 20  # of each of the heads that tell this share
SOUNDING = {  # words that mean a sound
    "dog barking": ("bark", "barks", "barking", "barked"),
    "rain": (),
    "sea waves": (),
    "baby crying": ("cry", "cries", "crying"),
    "clock ticking": ("tick", "ticks", "ticking"),
    "sneezing": ("sneeze", "sneezes", "sneezing", "sneezed"),
    "helicopter": (),
    "chainsaw": (),
    "rooster crowing": ("crow", "crows", "crowing"),
    "fire crackling": ("crackle", "crackles", "crackling"),
}
THINGS = {  # words of what makes it, which may be seen, too
    "dog barking": ("dog", "dogs"),
    "rain": ("rain", "rains", "raining"),
    "sea waves": ("sea", "wave", "waves", "ocean", "surf"),
    "baby crying": ("baby", "babies"),
    "clock ticking": ("clock", "clocks"),
    "helicopter": ("helicopter", "helicopters", "chopper"),
    "chainsaw": ("chainsaw", "chainsaws", "saw"),
    "rooster crowing": ("rooster", "cock"),
    "fire crackling": ("fire",),
}
NAMES = {  # of ESC-10, as they are told
    "dog bark": "dog barking",
    "baby cry": "baby crying",
    "clock tick": "clock ticking",
    "person sneeze": "sneezing",
    "rooster": "rooster crowing",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("esc10", type=Path, metavar="ESC10")
    parser.add_argument("--features", type=Path, required=True, help="kept here")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = audio_encoder("whisper-tiny.en")
    config = SoundsConfig(encoder.fingerprint, SOUNDING, THINGS)
    table = Table(args.esc10, encoder, config, args.features)
    right, epochs, sures, told = [], [], [], []
    for test in range(1, 6):
        dev = test % 5 + 1
        learn = [fold for fold in range(1, 6) if fold not in (test, dev)]
        net, epoch = learned(table, config, learn, args.seed, dev=dev)
        chances, labels = tested(net, table, test)
        there = labels < len(SOUNDING)
        right.append(float((chances[there, :-1].argmax(-1) == labels[there]).float().mean()))
        epochs.append(epoch)
        sures.append(threshold(net, table, dev))
        told.append((chances, labels))
        named, false = named_at(sures[-1], chances, labels)
        print(
            f"fold {test}: {right[-1]:.3f} right; at {sures[-1]:.2f} (dev) named rightly "
            f"{named:.3f}, others named {false:.3f}; epoch {epoch}",
            flush=True,
        )
    print(f"five folds: {np.mean(right):.3f} right")
    sure = round(max(float(np.mean(sures)), unknown(table, config, args.seed)), 3)
    shares = np.mean([named_at(sure, *one) for one in told], 0)
    print(f"five folds at {sure}: named rightly {shares[0]:.3f}, others named {shares[1]:.3f}")
    if args.out:
        final = replace(config, sure=sure)
        net, _ = learned(table, final, range(1, 6), args.seed, epochs=round(np.mean(epochs)))
        SoundHead(net, final, encoder).save(args.out)


def named_at(sure: float, chances: Tensor, labels: Tensor) -> tuple[float, float]:
    """Share of the sounds that are named, and rightly; and of other things that are named."""
    best, kind = chances.max(-1)
    told = (kind < len(SOUNDING)) & (best >= sure)
    there = labels < len(SOUNDING)
    rightly = (told & (kind == labels))[there].float().mean()
    return float(rightly), float(told[~there].float().mean())


class Table:
    """Blocks ``(N, K, D)`` of recordings, of their changed copies, and of other things."""

    def __init__(
        self, esc10: Path, encoder: AudioEncoder, config: SoundsConfig, folder: Path
    ) -> None:
        names = list(SOUNDING)
        files = recordings(esc10)
        own = [(one, names.index(NAMES.get(one.label, one.label))) for one in files]
        self.labels = torch.tensor([label for _, label in own] + [len(names)] * MADE * len(OTHERS))
        folds = [one.fold for one, _ in own] + [k % 5 + 1 for k in range(MADE * len(OTHERS))]
        self.folds = torch.tensor(folds)
        kept = folder / f"blocks-{encoder.fingerprint}.pt"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(0)
            waves = decoded(esc10, files)
            waves += [other(kind, rng) for kind in OTHERS for _ in range(MADE)]
            found = []
            for samples in tqdm(waves, desc="encoding", mininterval=20):
                copies = [samples, *(changed(samples, rng) for _ in range(COPIES))]
                blocks = [blocks_of(encoder.encode(copy), config.block) for copy in copies]
                found.append(torch.stack(blocks).half())
            torch.save(torch.stack(found), kept)
        self.blocks = torch.load(kept).float()  # (N, 1 + COPIES, K, D)


def learned(
    table: Table,
    config: SoundsConfig,
    folds: Sequence[int],
    seed: int,
    *,
    dev: int | None = None,
    epochs: int = EPOCHS,
) -> tuple[SoundNet, int]:
    """A network and its epoch: with ``dev`` the best there, else the last."""
    torch.manual_seed(seed)
    net = SoundNet(config)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    chosen = torch.isin(table.folds, torch.tensor(list(folds))).nonzero()[:, 0]
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    best: tuple[float, int, dict[str, Tensor]] = (-1.0, 0, {})
    for epoch in range(1, epochs + 1):
        net.train()
        for places in chosen[torch.randperm(len(chosen))].split(BATCH):
            copies = torch.randint(table.blocks.shape[1], (len(places),))
            logits, _ = net(table.blocks[places, copies])
            loss = loss_of(logits, table.labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if dev is not None:
            chances, labels = tested(net, table, dev)
            score = float(chances[torch.arange(len(labels)), labels].clamp(min=1e-6).log().mean())
            score = float((chances.argmax(-1) == labels).float().mean()) + score / 100
            if score > best[0]:
                best = (score, epoch, {k: v.clone() for k, v in net.state_dict().items()})
    if dev is not None:
        net.load_state_dict(best[2])
    return net.eval(), best[1] or epochs


@torch.inference_mode()
def tested(net: SoundNet, table: Table, fold: int) -> tuple[Tensor, Tensor]:
    """Probabilities ``(N, C + 1)`` and labels of a fold, none of it changed."""
    net.eval()
    places = table.folds == fold
    return net(table.blocks[places, 0])[0].softmax(-1), table.labels[places]


def unknown(table: Table, config: SoundsConfig, seed: int) -> float:
    """The least probability at which few recordings of a class that was never learned are named."""
    found = []
    for kind, name in enumerate(SOUNDING):
        folds = table.folds.clone()
        folds[table.labels == kind] = 0
        own = copy(table)
        own.folds = folds
        net, _ = learned(own, config, range(1, 6), seed, epochs=UNKNOWN_EPOCHS)
        chances, _ = tested(net, own, 0)
        best, place = chances.max(-1)
        found.append(best * (place < len(SOUNDING)))
        print(f"{name}, never learned: {float((found[-1] >= 0.5).float().mean()):.2f} named at 0.5")
    sure = float(torch.quantile(torch.cat(found), 1 - FALSE_UNKNOWN))
    print(f"{FALSE_UNKNOWN:.0%} of sounds that were never learned are named at {sure:.3f}")
    return sure


def threshold(net: SoundNet, table: Table, dev: int) -> float:
    """The least probability at which few of dev's other things are named; 0.5 at least."""
    chances, labels = tested(net, table, dev)
    best = chances[:, :-1].max(-1).values
    others = best[labels == len(SOUNDING)]
    return max(0.5, float(torch.quantile(others, 1 - FALSE)))


if __name__ == "__main__":
    main()
