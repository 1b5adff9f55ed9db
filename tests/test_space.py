"""mini's joint space on tiny parts: it learns, resumes exactly, and says what it cannot use."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny import bert_folder, tiny_assistant

from assistant.cli.main import main
from assistant.core.config import EfficientNetConfig, SpaceConfig, from_mapping
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.model.encoders.base import FrameFeatures
from assistant.model.encoders.cnn import EfficientNetEncoder
from assistant.model.encoders.efficientnet import EfficientNetLite
from assistant.model.sentences import SentenceEncoder
from assistant.model.space import loading, usual
from assistant.model.space.mini import MiniSpace
from assistant.model.space.network import SpaceNetwork, word_similarity
from assistant.sources import Look, bank, captions
from assistant.sources.lexicon import Lexicon
from assistant.training.loop import Loop
from assistant.training.space import judged, truth
from assistant.training.space import phrases as fitting
from assistant.training.space import run as training
from assistant.training.space.config import PhotoSetConfig
from assistant.training.space.photos import PhotoSet, read_labels
from assistant.training.space.texts import TokenStates
from assistant.training.space.trainer import matches, recalls
from assistant.weights.spaces import OWN_CONFIG, OWN_WEIGHTS

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


def write_photos(folder, names):
    """A zip of plain pictures of the colors in ``names`` (file: color)."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name, colour in names.items():
            data = io.BytesIO()
            Image.new("RGB", (64, 64), COLOURS[colour]).save(data, "JPEG")
            archive.writestr(name, data.getvalue())


@pytest.fixture
def photos(tmp_path):
    """A set with captions and split lists, and one with labels."""
    folder = tmp_path / "photos"
    told = {f"p{i}.jpg": list(COLOURS)[i % 3] for i in range(12)}
    write_photos(folder / "told", told)
    lines = [f"{n}#{k}\tA {c} thing number {k} ." for n, c in told.items() for k in range(2)]
    (folder / "told/captions.tsv").write_text("\n".join(lines))
    names = list(told)
    for split, part in {"train": names[:6], "dev": names[6:9], "test": names[9:]}.items():
        (folder / "told" / f"{split}.txt").write_text("\n".join(part))
    named = {f"q{i}.jpg": list(COLOURS)[i % 3] for i in range(30)}
    write_photos(folder / "named", named)
    (folder / "named/labels.tsv").write_text("\n".join(f"{n}\t{c}" for n, c in named.items()))
    return folder


class ColorEncoder(EfficientNetEncoder):
    """Its patches tell the color: those of random weights are nearly alike."""

    def encode(self, pictures):
        seen = super().encode(pictures)
        patches = torch.zeros_like(seen.patches)
        patches[..., :3] = pictures.float().mean((2, 3))[:, None] / 255
        return FrameFeatures(patches, seen.classes)


COLOUR_WORDS = {
    "groups": {
        "things": {"templates": ["{}"], "phrases": {colour: [] for colour in COLOURS}},
        "who": {"templates": ["{}"], "phrases": {"a red": ["red"], "a blue": ["blue"]}},
        "activities": {"templates": ["{}"], "phrases": {"thing": [], "green": []}},
        "scenes": {"templates": ["{}"], "phrases": {"number": []}},
    },
    "sentences": {
        "animals": [],
        "vehicles": [],
        "animal_activities": [],
        "vehicle_activities": [],
        "never_people": [],
        "where": {"number": "at a number"},
    },
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe on tiny encoders and a tiny lexicon, as a file."""
    lexicon = from_mapping(Lexicon, COLOUR_WORDS, "here")
    for module in (bank, captions, fitting):
        monkeypatch.setattr(module, "load_lexicon", lambda: lexicon)
    monkeypatch.setattr(judged, "LEAST", 1)
    bank._bank.cache_clear()
    encoder = ColorEncoder(EfficientNetLite().fuse(), EfficientNetConfig(size=64))
    encoder.names = tuple(f"thing {i}" for i in range(encoder.class_count))
    monkeypatch.setattr(training, "load_encoder", lambda config, dtype: encoder)
    bert = bert_folder(tmp_path / "bert")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "encoder": {"size": 64},
                "space": {
                    "weights": str(bert),
                    "members": 2,
                    "width": 8,
                    "inner": 16,
                    "hidden": 16,
                    "word_width": 8,
                },
                "sets": {
                    "told": {"share": 0.5, "captions": ["captions.tsv"]},
                    "named": {"share": 0.5, "labels": "labels.tsv", "templates": ["a {} one"]},
                },
                "steps": 40,
                "batch": 12,
                "lr": 0.03,
                "dev_every": 20,
            }
        )
    )
    return path


def test_a_space_learns_and_is_read_back(tmp_path, photos, recipe):
    made = training.run(recipe, photos, tmp_path / "run")
    log = [yaml.safe_load(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    measured = [line["label: named"] for line in log if "label: named" in line]
    assert measured[-1] == 100.0
    assert [line for line in log if "told: text to picture R@1" in line]
    space = MiniSpace.load(made)
    encoder = training.load_encoder(None, None)
    seen = encoder(np.stack([np.full((64, 64, 3), color, np.uint8) for color in COLOURS.values()]))
    frames = space.embed_patches(seen.patches, seen.classes)
    texts = space.embed_texts([f"a {color} one" for color in COLOURS])
    assert frames.shape == (3, 16) and texts.shape == (3, 16)
    assert (frames @ texts.T).argmax(1).tolist() == [0, 1, 2]
    torch.testing.assert_close(frames.norm(dim=1), torch.ones(3))


def test_a_spaces_phrases_are_made_with_it_and_made_anew(tmp_path, photos, recipe, capsys):
    made = training.run(recipe, photos, tmp_path / "run")
    encoder = training.load_encoder(None, None)
    seen = encoder(np.stack([np.full((64, 64, 3), color, np.uint8) for color in COLOURS.values()]))
    space = MiniSpace.load(made)
    look = Look(seen.patches, seen.classes, (), range(3), "", None, lambda: space)
    found = bank.bank_of(space)
    chances = found.probabilities(space.embed_frames(look))
    assert chances[:, found.within("things")].argmax(1).tolist() == [0, 1, 2]
    told = {item.name for item in captions.PERCEIVER.perceive(look)}
    assert told <= {one.text for one in captions.compose(found, space.embed_frames(look), words())}
    usual_to_texts = usual.read_usual(made, space.fingerprint, space.width)
    assert usual_to_texts.digest and usual_to_texts.of(np.eye(3, 16, dtype="f"), text=False).any()
    kept = (bank.CONFIG, bank.WEIGHTS, usual.CONFIG, usual.WEIGHTS)
    before = {name: (made / name).read_bytes() for name in kept}
    for name in before:
        (made / name).unlink()
    options = ["--config", str(recipe), "--photos", str(photos), "--phrases", str(made)]
    assert main(["pretrain", "space", *options, "--out", str(tmp_path / "run")]) == 0
    assert "named dev, things: precision 100.00" in capsys.readouterr().out
    assert {name: (made / name).read_bytes() for name in before} == before


def test_phrases_are_made_of_a_space_alone(tmp_path, capsys):
    flags = ["--photos", "p", "--out", str(tmp_path / "run"), "--phrases", "somewhere"]
    assert main(["pretrain", *flags]) == 2
    assert "--phrases is for space" in capsys.readouterr().err


def words():
    return from_mapping(Lexicon, COLOUR_WORDS, "here")


def test_an_interrupted_and_resumed_run_ends_in_the_same_weights(
    tmp_path, photos, recipe, monkeypatch
):
    whole = training.run(recipe, photos, tmp_path / "whole")
    step = Loop.step

    def interrupted(self, batch):
        if (self.progress.phase, self.progress.step) == (1, 7):
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Loop, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.run(recipe, photos, tmp_path / "parts")
    monkeypatch.setattr(Loop, "step", step)
    with pytest.raises(InputError, match="--resume"):
        training.run(recipe, photos, tmp_path / "parts")
    parts = training.run(recipe, photos, tmp_path / "parts", resume=True)
    assert (parts / OWN_WEIGHTS).read_bytes() == (whole / OWN_WEIGHTS).read_bytes()


@pytest.fixture
def made(tmp_path):
    """An untrained space as a folder."""
    bert = str(bert_folder(tmp_path / "bert"))
    folder = tmp_path / "space"
    folder.mkdir()
    torch.manual_seed(0)
    encoder = tiny_assistant().encoder
    network = SpaceNetwork(
        SpaceConfig(weights=bert, members=2, width=8), encoder.width, 16, encoder.class_count
    )
    training.save_weights(network.state_dict(), folder / OWN_WEIGHTS)
    told = {
        "encoder": {"size": 64},
        "space": {"weights": bert, "members": 2, "width": 8},
        "steps": 3,
    }
    (folder / OWN_CONFIG).write_text(yaml.safe_dump(told))
    return folder


def test_texts_are_the_same_alone_and_beside_others(made):
    space = MiniSpace.load(made)
    texts = ["a dog", "two dogs run over the wide green field", "x"]
    together = space.embed_texts(texts)
    alone = torch.cat([space.embed_texts([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert space.embed_texts([]).shape == (0, 16)


def test_words_are_vectors_where_there_is_one(made):
    space = MiniSpace.load(made)
    vectors, there = space.embed_words(["ab", "abcd"])
    assert there.sum(1).tolist() == [4, 6]  # [CLS], letters, [SEP]
    torch.testing.assert_close(vectors.norm(dim=2), there.float())


def test_the_fingerprint_is_that_of_the_weights(made):
    first = MiniSpace.load(made)
    network = first.network
    network.members[0].weigh.bias.data += 1.0
    training.save_weights(network.state_dict(), made / OWN_WEIGHTS)
    assert MiniSpace.load(made).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: (f / OWN_WEIGHTS).unlink(), "is not there"),
        (lambda f: (f / OWN_WEIGHTS).write_bytes(b"no"), "is damaged"),
        (
            lambda f: (f / OWN_CONFIG).write_text(
                (f / OWN_CONFIG).read_text().replace("width: 8", "width: 9")
            ),
            "does not fit",
        ),
    ],
)
def test_weights_that_cannot_be_used(made, spoil, told):
    spoil(made)
    with pytest.raises(WeightsError, match=told):
        MiniSpace.load(made)


def test_a_space_is_of_one_encoder(made):
    encoder = tiny_assistant().encoder
    assert loading.load_space(str(made), encoder).width == 16
    text = (made / OWN_CONFIG).read_text()
    (made / OWN_CONFIG).write_text(text.replace("size: 64", "size: 96"))
    with pytest.raises(InputError, match="is not of the image encoder"):
        loading.load_space(str(made), encoder)


def test_equal_texts_belong_to_each_others_pictures():
    match = matches(["a", "b", "a"], torch.tensor([0, 1, 2]), 3)
    assert match.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_a_text_is_found_by_its_words_best_patches():
    patches = torch.eye(3)[None]  # (1, 3, 3)
    words = torch.tensor([[[1.0, 0, 0], [0, 0.5, 0]], [[0, 0, -1.0], [9, 9, 9]]])
    weights = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert word_similarity(patches, words, weights).tolist() == [[0.75, 0.0]]


def test_recall_counts_the_best_of_a_pictures_texts():
    scores = torch.tensor([[0.9, 0.1, 0.8], [0.2, 0.3, 0.85]])  # texts 0, 1 of 0; 2 of 1
    found = recalls(scores, [0, 0, 1])
    assert found["text to picture"][1] == pytest.approx(200 / 3)
    assert found["picture to text"][1] == 100.0


def test_token_states_are_encoded_once(tmp_path, monkeypatch):
    sentences = SentenceEncoder(bert_folder(tmp_path / "bert"))
    texts = ["ab", "a cat"]
    first = TokenStates(tmp_path, sentences, texts)
    states, there = first.batch(["a cat", "ab"])
    expected, _ = sentences.tokens(["a cat"])
    torch.testing.assert_close(states[0], expected[0], atol=2e-3, rtol=0)
    assert there.sum(1).tolist() == [7, 4]
    monkeypatch.setattr(sentences, "tokens", None)  # cannot be called
    again, _ = TokenStates(tmp_path, sentences, texts).batch(["a cat", "ab"])
    assert torch.equal(again, states)


def test_sets_say_what_is_wrong(tmp_path, photos, recipe):
    with pytest.raises(InputError, match="holds no folder named"):
        training.run(recipe, tmp_path, tmp_path / "run")
    (photos / "named/labels.tsv").write_text("q0.jpg red\n")
    with pytest.raises(InputError, match=r"labels\.tsv:1"):
        read_labels(photos / "named/labels.tsv")
    (photos / "told/images.zip").unlink()
    with pytest.raises(InputError, match="no zip"):
        PhotoSet(photos / "told", PhotoSetConfig(1.0, captions=("captions.tsv",)))
    with pytest.raises(ConfigError, match="captions or labels"):
        PhotoSetConfig(1.0)
    with pytest.raises(ConfigError, match="for the label"):
        PhotoSetConfig(1.0, labels="labels.tsv", templates=("a photo",))


def test_sets_without_lists_keep_some_photos_for_dev(photos):
    found = PhotoSet(photos / "named", PhotoSetConfig(1.0, labels="labels.tsv"))
    assert not set(found.splits["dev"]) & set(found.splits["train"])
    assert 0 < len(found.splits["dev"]) < 10 and found.splits["test"] == ()


def test_the_extra_is_missed_before_anything_is_trained(tmp_path, photos, recipe, monkeypatch):
    monkeypatch.setattr(truth, "find_spec", lambda name: None if name == "nltk" else True)
    with pytest.raises(InputError, match=r"video-assistant\[train\]"):
        training.run(recipe, photos, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_comparing_is_the_members_mean_of_whole_vectors_and_words(made):
    space = MiniSpace.load(made)
    encoder = tiny_assistant().encoder
    torch.manual_seed(0)
    patches = torch.randn(3, 4, encoder.width)
    classes = torch.rand(1, encoder.class_count)
    look = Look(patches, classes, (), (0, 1, 2), "", lambda count, side: ((), ()), lambda: space)
    texts = [f"dog {number}" for number in range(70)]  # more than are encoded at once
    scores = space.compare(look, texts)
    assert scores.shape == (3, 70) and space.compare(look, []).shape == (3, 0)
    states, there = space.sentences.tokens(texts[:1])
    named = space.network.named(classes).expand(3, -1)
    found, weight = 0.0, 0.0
    for member in space.network.members:
        whole, own = member.embed_picture(patches, named)
        text, words, weights = member.embed_text(states, there)
        best = torch.stack([(own @ word).amax(1) for word in words[0]], 1)  # (T, M)
        scale = member.scales()
        found = found + scale[0] * whole @ text[0] + scale[1] * (best * weights).sum(1)
        weight = weight + scale.sum()
    torch.testing.assert_close(scores[:, 0], found / weight, atol=1e-5, rtol=1e-4)


def test_words_are_found_in_patches(made):
    """The product of a patch and a word is the mean of the members' cosines."""
    space, encoder = MiniSpace.load(made), tiny_assistant().encoder
    seen = encoder(np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8))
    look = Look(seen.patches, seen.classes, (), range(2), "", None, lambda: space)
    cells, words = space.embed_cells(look), space.embed_keywords(["dog", "a red car"])
    patches = seen.patches.shape[1]
    assert cells.shape[:2] == (2, patches) and words.shape == (2, cells.shape[2])
    found = torch.einsum("tkc,wc->twk", cells, words)
    width = cells.shape[2] // 2
    parts = [
        torch.nn.functional.cosine_similarity(
            cells[:, None, :, own], words[None, :, None, own], dim=-1
        )
        for own in (slice(0, width), slice(width, None))
    ]
    torch.testing.assert_close(found, sum(parts) / 2, atol=1e-5, rtol=0)
