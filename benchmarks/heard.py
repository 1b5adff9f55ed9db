"""What is heard in clips, beside what was found by looking at their sound; and what it costs.

    python benchmarks/heard.py CLIPS [--truth benchmarks/heard.tsv] [--pictures FOLDER]

CLIPS: a folder. ``--truth``: a table of file, and for speech, music and silence 1, 0 or ? (cannot
be told). A kind is heard where it lasts for a second in all, or half the clip. ``--pictures``:
waveform and spectrogram of each clip, to look at. Seconds are those of one thread, all included
but the loading of the weights.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from assistant.dialogue.speech import RATE
from assistant.media.video import probe, read_audio
from assistant.model.sound_naming import SoundNaming
from assistant.sources import Perceived
from assistant.sources.heard import SILENCE, hear_samples
from assistant.vqa.by_sound import WHAT, AsksSound, tell

KINDS = ("speech", "music", SILENCE)
SINGING = {"music": ("music", "singing"), "speech": ("speech", "singing")}  # where it counts, too
LASTS = 1.0  # seconds
FORMATS = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, metavar="CLIPS")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    naming = SoundNaming()
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32) / 10
    hear_samples(noise, naming)  # loads the weights
    truth = read_truth(args.truth) if args.truth else {}
    seconds, length = 0.0, 0.0
    counted: Counter[tuple[str, str, bool]] = Counter()
    for clip in sorted(file for file in args.clips.rglob("*") if file.suffix in FORMATS):
        began = time.perf_counter()
        if not probe(clip).has_audio:
            continue
        samples, _ = read_audio(clip, rate=RATE)  # clips of minutes at most
        items = hear_samples(samples, naming)
        seconds += time.perf_counter() - began
        length += len(samples) / RATE
        print(f"{clip.name} ({len(samples) / RATE:.1f} s): {tell(AsksSound(WHAT), items)[0]}")
        if args.pictures:
            draw(samples, args.pictures / f"{clip.stem}.png")
        for kind, known in truth.get(clip.name, {}).items():
            if known != "?":
                told = is_heard(kind, items, len(samples) / RATE)
                counted[kind, known, told] += 1
                if told != (known == "1"):
                    print(f"    {kind}: {'heard' if told else 'not heard'}, and it is {known}")
    for kind in KINDS:
        here = [counted[kind, "1", True], counted[kind, "1", False]]
        absent = [counted[kind, "0", False], counted[kind, "0", True]]
        if sum(here) + sum(absent):
            print(f"{kind}: there {here[0]} of {sum(here)}, absent {absent[0]} of {sum(absent)}")
    print(f"{60 * seconds / length:.2f} s a minute of sound, {length / 60:.1f} minutes")


def read_truth(path: Path) -> dict[str, dict[str, str]]:
    """By file, what is known of each of KINDS."""
    with path.open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["file"]: {kind: row[kind] for kind in KINDS} for row in rows}


def is_heard(kind: str, items: Sequence[Perceived], length: float) -> bool:
    """Whether it lasts."""
    own = [one for one in items if one.name in SINGING.get(kind, (kind,))]
    lasting = sum((one.end or 0.0) - (one.start or 0.0) for one in own)
    return lasting >= min(LASTS, length / 2)


def draw(samples: np.ndarray, path: Path) -> None:
    """Waveform above spectrogram."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3))
    wave, spectrum = figure.subplots(2, 1)
    wave.plot(np.arange(len(samples)) / RATE, samples, linewidth=0.3)
    wave.set(xlim=(0, len(samples) / RATE), ylim=(-1, 1), title=path.stem)
    spectrum.specgram(samples + 1e-6, NFFT=512, Fs=RATE, noverlap=256, vmin=-140, vmax=-40)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    main()
