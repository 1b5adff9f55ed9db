"""Whether intonation reaches an answer: the same sentences said flatly and with expression.

    python benchmarks/prosody.py RUNS [--seed 7]

espeak-ng (a Debian package) says the sentences of ``prosody.txt`` in pairs: once on one pitch, once
with a wide pitch, a stressed and slowed word, or both. Base pitch, pace and voice are those of the
pair, and the mean pitch of both is made alike, so that neither words nor voice nor pitch alone tell
which is which. Test has sentences and voices of its own. An adapter that hears and reads what is
said (A+T), and sees nothing, learns by `finetune` without the language model's steps; beside it
stand the same with another clip's sound, and a logistic regression on the mean and the spread of
the very features that it hears. What is in RUNS is not made again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ablations import BATCH, OtherSounds, recipe_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assistant.core.resources import adapters_dir
from assistant.data.items import Item
from assistant.evaluation.tasks import OrderedLearner
from assistant.media.writer import write_clip
from assistant.model.audio import ear_of
from assistant.model.loading import load_model
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Recipe, load_recipe
from assistant.training.clips import clip_table, clips_of
from assistant.training.examples import DrawnExample, make_examples
from assistant.training.features import FeatureTable
from assistant.training.finetune import ADAPTER, CARD, examples_from, finetune
from assistant.training.learner import accuracies
from assistant.training.loop import CHECKPOINT
from assistant.training.losses.slots import SpelledAnswer, WordSlots
from assistant.training.sounds import heard_in

SENTENCES = Path(__file__).with_suffix(".txt")
SHARES = {"train": 40, "dev": 10, "test": 20}  # sentences
VOICES = {
    "train": ("en-us", "en-gb", "en-us+m3", "en-gb+f2", "en-us+f4", "en-gb-scotland+m1"),
    "dev": ("en-us+m7", "en-gb+f5"),
    "test": ("en-gb-x-rp+m4", "en-029+f1", "en-us+f3", "en-gb-scotland+m6"),
}
FLAT, EXPRESSIVE = ANSWERS = ("flat", "expressive")
CUES = ("pitch", "stress", "both")
WIDE, LEVEL = 200, 1.25  # percent of the usual range of pitch; by which that raises the mean pitch
QUESTION = "Is it said in a flat or in an expressive voice?"
PROMPT = TaskPrompt(
    "prosody",
    "Whether a sentence is said flatly or with expression.",
    "{dialogue}\n{question}",
    "{dialogue}\n{question}",
    (QUESTION,),
    4,
)
COMMON = {
    "task": "prosody",
    "frames": 4,
    "with": ["sound"],
    "training": {
        "lr": 0.002,
        "batch": 16,
        "balance": 0.0,
        "epochs": 6,
        "silent_epochs": 6,
        "epoch_examples": 480,
        "losses": {"motion": 0.0, "naming": 0.0},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="RUNS")
    parser.add_argument("--seed", type=int, default=7, help="of the training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = args.out / "data"
    if not (data / "data.jsonl").exists():
        make(data)
    examples = examples_from(data)
    shipped = adapters_dir() / "mini" / "motion"
    recipe = recipe_of(shipped, COMMON, {"without": ["video"]}, args.seed)
    run = args.out / f"run-{args.seed}"
    if not (run / ADAPTER / CARD).exists():
        run.mkdir(parents=True, exist_ok=True)
        (args.out / "features").mkdir(exist_ok=True)
        if not (run / "features").exists():  # of all seeds
            (run / "features").symlink_to((args.out / "features").resolve())
        model = load_model("mini", attention="eager", reading=False)
        resume = (run / CHECKPOINT).exists()
        finetune(recipe, PROMPT, model, examples, run, start=shipped, resume=resume)
    test = [item for item in examples.items if item.split == "test"]
    train = [item for item in examples.items if item.split == "train"]
    table = measured(run, test)
    table["features, linear"] = probed(run, recipe, train, test)
    columns = ["accuracy", *(f"accuracy: {cue}" for cue in CUES)]
    print(f"{len(train)} clips to learn from, {len(test)} of other sentences and voices")
    print("| | all | " + " | ".join(CUES) + " |\n|---|" + "---|" * (len(CUES) + 1))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{100 * row[column]:.1f}" for column in columns) + " |")


def make(folder: Path) -> None:
    """The clips, and ``data.jsonl`` when all of them are there."""
    lines = SENTENCES.read_text().splitlines()
    rng, records = random.Random(0), []
    for split, count in SHARES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        own, lines = lines[:count], lines[count:]
        for place, (sentence, voice) in enumerate(itertools.product(own, VOICES[split])):
            cue, pitch, pace = rng.choice(CUES), rng.uniform(80, 150), rng.uniform(85, 120)
            for answer in ANSWERS:
                name = f"{split}/{place:04d}-{answer}.mp4"
                rate, sound = said(spoken(sentence, answer, cue, pitch, pace, rng), voice)
                picture = np.zeros((32, 32, 3), np.uint8)
                length = round(4 * len(sound) / rate)
                write_clip(folder / name, [picture] * length, 4, sound, rate)
                records.append(
                    {
                        "id": name,
                        "video": name,
                        "dialogue": sentence,
                        "question": QUESTION,
                        "answer": answer,
                        "choices": list(ANSWERS),
                        "type": cue,
                        "split": split,
                    }
                )
    (folder / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))


def spoken(
    sentence: str, answer: str, cue: str, pitch: float, pace: float, rng: random.Random
) -> str:
    """A sentence as espeak-ng reads it (SSML); ``pitch`` and ``pace`` in percent of a voice's."""
    words = sentence.split()
    wide = answer == EXPRESSIVE and cue != "stress"
    if answer == EXPRESSIVE and cue != "pitch":
        place = rng.randrange(1, len(words))
        words[place] = f'<prosody rate="65%" pitch="130%">{words[place]}</prosody>'
    level = pitch / LEVEL if wide else pitch
    told = f'pitch="{level:.0f}%" range="{WIDE if wide else 0}%" rate="{pace:.0f}%"'
    return f"<speak><prosody {told}>{' '.join(words)}</prosody></speak>"


def said(text: str, voice: str) -> tuple[int, np.ndarray]:
    """Samples a second, and ``(n,)`` float32."""
    command = ["espeak-ng", "-m", "-v", voice, "--stdout", text]
    told = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(told)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        return file.getframerate(), samples / 32768


def measured(run: Path, test: Sequence[Item]) -> dict[str, dict[str, float]]:
    """Accuracy of what the visual tokens spell, with each clip's own sound and with another's."""
    model, recipe = load_model("mini", reading=False), load_recipe(run / ADAPTER)
    key = model.load_adapter(run / ADAPTER, recipe)
    table, clips = table_of(run, recipe, test)
    examples = make_examples(test, PROMPT, model, table, clips, recipe)
    asked = [DrawnExample(example, example.shown) for example in examples]
    found = {}
    for name, kind in (("A+T", OrderedLearner), ("A+T, another clip's sound", OtherSounds)):
        learner = kind(model, recipe, table, key, "forward", 11).eval()
        learner.losses["slots"] = SpelledAnswer(WordSlots(model.llm, set(ANSWERS), ()))
        found[name] = accuracies(learner, asked, BATCH, True)
    return found


def table_of(run: Path, recipe: Recipe, items: Sequence[Item]) -> tuple[FeatureTable, dict]:
    """What is seen and heard in their clips; both are in ``run`` after training, but for test."""
    clips, windows = clips_of(items), recipe.frames
    encoder = load_model("mini", reading=False).encoder
    return clip_table(run / "features", encoder, clips, windows, ear_of(recipe), windows), clips


def probed(
    run: Path, recipe: Recipe, train: Sequence[Item], test: Sequence[Item]
) -> dict[str, float]:
    """Accuracy of a logistic regression on the features that the adapter hears."""

    def features(items: Sequence[Item]) -> np.ndarray:
        table, clips = table_of(run, recipe, items)
        assert table.sounds is not None
        return np.stack([summed(table.sounds, key, recipe.frames) for key in clips.values()])

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    model.fit(features(train), [item.answer for item in train])
    right = model.predict(features(test)) == np.array([item.answer for item in test])
    kinds = np.array([item.type for item in test])
    return {"accuracy": right.mean()} | {
        f"accuracy: {cue}": right[kinds == cue].mean() for cue in CUES
    }


def summed(sounds: FeatureTable, key: str, frames: int) -> np.ndarray:
    """``(2 D,)``: mean and spread over all tokens of a clip that are heard."""
    heard = heard_in(sounds, [key], frames)
    assert heard is not None
    tokens = heard.tokens[heard.mask.bool()].float()
    return torch.cat([tokens.mean(0), tokens.std(0)]).numpy()


if __name__ == "__main__":
    main()
