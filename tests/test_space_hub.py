"""Joint spaces of a model hub, tiny and random, against `transformers`' own models; and what is
said of checkpoints that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import write_checkpoint
from PIL import Image
from retrieval_sight import TinySight
from safetensors.torch import load_file, save_file
from space_checkpoints import KINDS, QUERIES, SIDE, write_space
from tiny import tiny_assistant
from torch.nn import functional as F
from transformers import (
    AutoProcessor,
    Blip2ForImageTextRetrieval,
    CLIPModel,
    Siglip2Model,
    SiglipModel,
)

from assistant import load
from assistant.errors import AssistantError, InputError, ModelError, WeightsError
from assistant.model import hub_files
from assistant.model import loading as model_loading
from assistant.model.space.loading import load_space
from assistant.retrieval import Index
from assistant.sources import Look
from assistant.weights.spaces import check_space

CLASSES = {
    "clip": CLIPModel,
    "siglip": SiglipModel,
    "siglip2": Siglip2Model,
    "siglip2-fixed": SiglipModel,
    "blip-2": Blip2ForImageTextRetrieval,
}
TEXTS = [
    "a dog runs on grass",
    "red",
    "what is the man doing in this video question short answer yes no red blue left right",  # long
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("spaces")
    return {kind: write_space(root / kind, kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def folder(kind, folders) -> Path:
    return folders[kind]


def space_of(folder: Path, precision: str = "fp32", quantize: str = "auto"):
    encoder = None  # of the model; one of a hub has its own
    return load_space(str(folder), encoder, device="cpu", precision=precision, quantize=quantize)


def frames_of(count: int = 5, height: int = 40, width: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def look_of(frames: np.ndarray, asked: list | None = None) -> Look:
    def pictures(count: int, side: int):
        if asked is not None:
            asked.append((count, side))
        return frames, range(count)

    return Look(torch.zeros(0), torch.zeros(0), (), range(len(frames)), "none", pictures, lambda: 0)


class Official:
    """`transformers`' own model and processor of a checkpoint."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.model = CLASSES[kind].from_pretrained(folder).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.padding = "max_length" if kind.startswith("siglip") else True

    def inputs(self, frames: np.ndarray | None, texts: list[str] | None):
        images = None if frames is None else [Image.fromarray(frame) for frame in frames]
        options = {"padding": self.padding, "truncation": True} if texts else {}
        if options:
            model = self.model.config
            config = getattr(model, "qformer_config", None) or model.text_config
            # Blip2Processor takes the queries' places off, also where there are none
            queries = getattr(self.processor, "num_query_tokens", 0)
            options["max_length"] = config.max_position_embeddings + queries
        return self.processor(images=images, text=texts, return_tensors="pt", **options)

    @torch.no_grad()
    def frames(self, frames: np.ndarray):
        # SigLIP 2's whole processor knows patches of 16 alone
        images = [Image.fromarray(frame) for frame in frames]
        pixels = self.processor.image_processor(images=images, return_tensors="pt")
        return F.normalize(self.model.get_image_features(**pixels).pooler_output, dim=-1)

    @torch.no_grad()
    def texts(self, texts: list[str]):
        return F.normalize(
            self.model.get_text_features(**self.inputs(None, texts)).pooler_output, dim=-1
        )

    @torch.no_grad()
    def matches(self, frames: np.ndarray, texts: list[str]):
        """BLIP-2: with both scores, text vectors ``(N, E)`` and query vectors ``(T, Q, E)``."""
        return self.model(**self.inputs(frames, texts), use_image_text_matching_head=False)


def close(one: torch.Tensor, other: torch.Tensor, within: float = 1e-5) -> bool:
    assert one.shape == other.shape
    assert one.dtype == torch.float32 and one.device.type == "cpu"
    return bool((one - other).abs().max() < within)


def test_patches_of_clip_take_the_way_of_the_whole_picture(folders):
    """As transformers' own network has the class token: cells, and what is sought among them."""
    space, official = space_of(folders["clip"]), Official(folders["clip"], "clip")
    frames = frames_of(2)
    found = space.embed_cells(look_of(frames))
    with torch.no_grad():
        vision = official.model.vision_model
        pixels = official.inputs(frames, None)["pixel_values"]
        tokens = vision.post_layernorm(vision(pixels).last_hidden_state)
        wanted = F.normalize(official.model.visual_projection(tokens), dim=-1)
    assert close(wanted[:, 0], official.frames(frames))
    assert found.shape == (2, 16, space.width) and close(found, wanted[:, 1:])
    assert close(space.embed_keywords(TEXTS), official.texts(TEXTS))


@pytest.mark.parametrize("kind", ["siglip", "siglip2", "blip-2"])
def test_other_spaces_know_no_patches(folders, kind):
    with pytest.raises(InputError, match="tells nothing of single patches; take mini's own or a"):
        space_of(folders[kind]).embed_cells(look_of(frames_of()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blip-2"])
@pytest.mark.parametrize("size", [(40, 70), (70, 40), (SIDE, SIDE)])
def test_vectors_are_those_of_transformers(kind, folders, size):
    space, official = space_of(folders[kind]), Official(folders[kind], kind)
    frames = frames_of(5, *size)
    seen, read = space.embed_frames(look_of(frames)), space.embed_texts(TEXTS)
    assert close(seen, official.frames(frames)) and close(read, official.texts(TEXTS))
    assert seen.shape == (5, space.width) and read.shape == (3, space.width)
    assert space.scale == pytest.approx(official.model.logit_scale.exp().item())
    assert close(space.compare(look_of(frames), TEXTS), seen @ read.T)
    assert (seen @ seen.T).min() < 0.99 and (read @ read.T).min() < 0.99  # it is not blind


def test_blip2_compares_as_transformers_do(folders):
    space, official = space_of(folders["blip-2"]), Official(folders["blip-2"], "blip-2")
    frames = frames_of(3)
    found = official.matches(frames, TEXTS)
    assert close(space.embed_texts(TEXTS), found.text_embeds)
    assert close(space.embed_queries(look_of(frames)), found.image_embeds)
    assert close(space.compare(look_of(frames), TEXTS), found.logits_per_image)
    seen = space.embed_frames(look_of(frames))
    assert found.image_embeds.shape == (3, QUERIES, space.width)
    assert space.scale == pytest.approx(1 / 0.07)  # of ALBEF and BLIP
    assert close(seen, F.normalize(found.image_embeds.mean(1), dim=-1))


def test_vectors_do_not_depend_on_what_is_beside_them(folder):
    space, frames = space_of(folder), frames_of()
    seen, read = space.embed_pictures(frames), space.embed_texts(TEXTS)
    words, there = space.embed_words(TEXTS)
    assert close(space.embed_pictures(frames[::-1].copy()).flip(0), seen)
    assert close(space.embed_texts(TEXTS[::-1]).flip(0), read)
    for size in (1, 2):
        space._chunk = space._text_chunk = size
        assert close(space.embed_pictures(frames), seen) and close(space.embed_texts(TEXTS), read)
        again, mask = space.embed_words(TEXTS)
        assert close(again, words) and torch.equal(mask, there)
    assert torch.allclose(seen.norm(dim=-1), torch.ones(5))
    assert close(space.embed_clip(look_of(frames)), F.normalize(seen.mean(0), dim=0))


def test_words_are_the_tokens_of_a_text_without_padding(kind, folder):
    space = space_of(folder)
    words, there = space.embed_words(TEXTS)
    lengths = there.sum(1)
    assert words.shape == (3, int(lengths[2]), space.width) and lengths[1] < lengths[0]
    assert lengths[2] == Official(folder, kind).inputs(None, TEXTS[2:])["input_ids"].shape[1]
    assert torch.allclose(words[there].norm(dim=-1), torch.ones(int(lengths.sum())))
    assert not words[~there].any()
    # A text's vector is that of one of its tokens: the first of BLIP-2, the last of the others.
    place = 0 if kind == "blip-2" else -1
    assert close(words[2, place], space.embed_texts(TEXTS)[2])


def test_nothing_is_nothing(folder):
    space = space_of(folder)
    assert space.embed_texts([]).shape == (0, space.width)
    words, there = space.embed_words([])
    assert words.shape == (0, 0, space.width) and there.shape == (0, 0)
    assert not there.any() and there.dtype == torch.bool


def test_nothing_is_told_while_it_loads(folder, capfd):
    space_of(folder).embed_texts(TEXTS)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("siglip")])
def test_siglip_reads_lower_case_whatever_its_tokenizer(kind, folders):
    space = space_of(folders[kind])
    assert close(space.embed_texts(["A Dog RUNS"]), space.embed_texts(["a dog runs"]))


def test_frames_are_asked_for_finer_than_they_are_looked_at(folder):
    asked: list = []
    space_of(folder).embed_frames(look_of(frames_of(4), asked))
    assert asked == [(4, 2 * SIDE)]


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_8_bit_is_close_and_takes_the_encoders_alone(folder, quantize):
    exact, small = space_of(folder), space_of(folder, quantize=quantize)
    frames = frames_of()
    both = torch.cat([small.embed_pictures(frames), small.embed_texts(TEXTS)])
    plain = torch.cat([exact.embed_pictures(frames), exact.embed_texts(TEXTS)])
    likeness = (both * plain).sum(-1)
    assert likeness.min() > 0.98 and not torch.equal(both, plain)
    layers = {
        name: type(layer).__name__
        for name, layer in small.network.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    assert "Linear8bitLt" in layers.values()
    assert all(".encoder." in name for name, made in layers.items() if made == "Linear8bitLt")
    assert not any("qformer" in name for name, made in layers.items() if made == "Linear8bitLt")
    assert small.fingerprint != exact.fingerprint


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bit_is_close(folder, precision):
    exact, half = space_of(folder), space_of(folder, precision)
    frames = frames_of()
    assert half.network.vision_model.dtype == getattr(
        torch, {"bf16": "bfloat16"}.get(precision, "float16")
    )
    for one, other in (
        (half.embed_pictures(frames), exact.embed_pictures(frames)),
        (half.embed_texts(TEXTS), exact.embed_texts(TEXTS)),
    ):
        assert one.dtype == torch.float32 and (one * other).sum(-1).min() > 0.99
    assert half.fingerprint != exact.fingerprint


def test_older_pickled_weights_are_read_alike(tmp_path):
    one, other = (
        write_space(tmp_path / "safe", "clip"),
        write_space(tmp_path / "bin", "clip", safe=False),
    )
    assert not (other / "model.safetensors").exists()
    assert close(space_of(other).embed_texts(TEXTS), space_of(one).embed_texts(TEXTS))


def test_a_fingerprint_is_that_of_weights_words_and_pictures_wherever_they_lie(folders, tmp_path):
    copy = Path(shutil.copytree(folders["clip"], tmp_path / "elsewhere"))
    seen = {space_of(copy).fingerprint}
    assert seen == {space_of(folders["clip"]).fingerprint}
    state = load_file(copy / "model.safetensors")
    state["text_projection.weight"][0, 0] += 1
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    seen.add(space_of(copy).fingerprint)
    for name in ("tokenizer_config.json", "preprocessor_config.json"):
        values = json.loads((copy / name).read_text())
        (copy / name).write_text(json.dumps(values | {"of": "another day"}))
        seen.add(space_of(copy).fingerprint)
    assert len(seen) == 4


def test_a_gpu_that_fills_up_takes_less_at_a_time(folders, monkeypatch):
    space, sizes = space_of(folders["clip"]), []
    frames, see, read = frames_of(), space._see, space._read
    seen, texts = space.embed_pictures(frames), space.embed_texts(TEXTS)

    def full_beyond(most, work):
        def tight(given):
            count = len(next(iter(given.values())))
            sizes.append(count)
            if count > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return work(given)

        return tight

    space._chunk = space._text_chunk = 4
    monkeypatch.setattr(space, "_see", full_beyond(2, see))
    monkeypatch.setattr(space, "_read", full_beyond(1, read))
    assert close(space.embed_pictures(frames), seen) and sizes == [4, 2, 2, 1]
    assert close(space.embed_texts(TEXTS), texts) and sizes[4:] == [3, 2, 1, 1, 1]
    monkeypatch.setattr(space, "_see", full_beyond(0, see))
    with pytest.raises(ModelError, match="one frame is too many"):
        space.embed_pictures(frames)


def test_a_token_without_weights_is_named(folders):
    with pytest.raises(InputError, match="'an <image>' has a token"):
        space_of(folders["blip-2"]).embed_texts(["red", "an <image>"])


def without(*names: str):
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def with_config(**values):
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return spoil


def with_text(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


def with_weights(change):
    def spoil(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", {"format": "pt"})

    return spoil


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


INDEX = "model.safetensors.index.json"
AT_ONCE = [  # seen before anything is loaded
    (without("config.json"), "holds no config.json"),
    (with_text("config.json", "{"), "cannot be read"),
    (with_text("config.json", "[]"), "no keys and values"),
    (with_config(model_type="llava"), "is a checkpoint of llava, wanted CLIPModel"),
    (with_config(model_type=["clip"]), "wanted CLIPModel"),
    (
        with_config(model_type="blip-2", architectures=["Blip2ForConditionalGeneration"]),
        "blip-2 as Blip2ForConditionalGeneration, wanted .*Blip2ForImageTextRetrieval",
    ),
    (without("model.safetensors"), "holds no weights"),
    (with_text(INDEX, '{"weight_map": {"a": "gone.safetensors"}}'), "gone.safetensors: is not"),
    (with_text(INDEX, '{"weight_map": []}'), "lists no tensors"),
    (without("tokenizer.json"), "holds no tokenizer"),
    (without("preprocessor_config.json"), "holds no image processor"),
]
LATER = [
    (cut, "holds no usable CLIPModel"),
    (with_text("model.safetensors", "nonsense"), "holds no usable CLIPModel"),
    (with_weights(lambda state: state.pop("text_projection.weight")), "lacks text_projection"),
    (
        with_weights(lambda state: state.update({"visual_projection.weight": torch.zeros(3, 3)})),
        "holds no usable CLIPModel",
    ),
    (with_config(projection_dim="wide"), "holds no usable"),
    (with_text("tokenizer.json", "{}"), "holds no usable tokenizer"),
    (with_text("preprocessor_config.json", "nonsense"), "holds no usable image processor"),
    (with_text("preprocessor_config.json", "{}"), "holds no usable image processor"),
]


@pytest.mark.parametrize(("spoil", "told"), [*AT_ONCE, *LATER])
def test_a_checkpoint_that_is_none_says_so_in_one_line(folders, tmp_path, spoil, told):
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    spoil(folder)
    with pytest.raises(WeightsError, match=told) as met:
        space_of(folder)
    assert "\n" not in str(met.value) and str(folder) in str(met.value)
    if (spoil, told) in AT_ONCE:
        with pytest.raises(WeightsError, match=told):
            check_space(str(folder))
    else:
        check_space(str(folder))


def test_a_siglip_whose_halves_do_not_meet_is_refused(tmp_path):
    folder = write_space(tmp_path / "siglip", "siglip")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["vision_use_head"] = False
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="cannot be compared"):
        space_of(folder)


@pytest.mark.parametrize("name", ["nope", "./nope", "~nobody/x", "a/b/c", "/", "", "openai/"])
def test_a_name_that_is_none_says_what_is_wanted(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssistantError, match="CLIP"):
        check_space(name)


def test_a_file_is_no_space(tmp_path):
    (tmp_path / "weights").write_text("")
    with pytest.raises(InputError, match="is a file"):
        check_space(str(tmp_path / "weights"))


def test_a_hub_id_is_fetched_once_its_kind_is_known(folders, tmp_path, monkeypatch):
    wanted: list[tuple[str, ...]] = []

    def hub(kind):
        def ensure(repo_id, *, patterns):
            assert repo_id == "openai/tiny"
            wanted.append(tuple(patterns))
            return folders[kind]

        return ensure

    monkeypatch.setattr(hub_files.weights_store, "ensure_hub", hub("clip"))
    assert close(
        space_of(Path("openai/tiny")).embed_texts(TEXTS),
        space_of(folders["clip"]).embed_texts(TEXTS),
    )
    assert len(wanted) == 2 and "model*.safetensors" in wanted[1]
    assert not any("safetensors" in like or "bin" in like for like in wanted[0])
    other = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    with_config(model_type="llava")(other)
    folders = folders | {"llava": other}
    wanted.clear()
    monkeypatch.setattr(hub_files.weights_store, "ensure_hub", hub("llava"))
    with pytest.raises(WeightsError, match="llava"):
        space_of(Path("openai/tiny"))
    assert len(wanted) == 1  # its weights were not asked for


def test_without_a_network_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSISTANT_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    check_space("openai/there-is-no-such-clip")
    with pytest.raises(WeightsError, match="hub was not reached"):
        space_of(Path("openai/there-is-no-such-clip"))


@pytest.mark.parametrize(
    ("options", "told"),
    [({"precision": "int8"}, "int8"), ({"quantize": "2bit"}, "2bit"), ({"device": "gpu"}, "gpu")],
)
def test_an_unknown_option_is_named(folders, options, told):
    with pytest.raises(InputError, match=told):
        load_space(str(folders["clip"]), None, **options)


def test_a_model_has_the_space_that_it_was_told(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(model_loading, "build_model", lambda *_, **__: tiny_assistant())
    monkeypatch.setattr(model_loading, "load_trained", lambda *_: None)
    space = str(folders["siglip"])
    expected = space_of(folders["siglip"], "bf16", "8bit").fingerprint
    options = {"space": space, "precision": "bf16", "quantize": "8bit", "device": "cpu"}
    large = write_checkpoint(tmp_path / "large")
    for name in ("mini", str(large)):
        assert load(name, **options).model.space.fingerprint == expected
        assert load(name, now=False, **options).model.space.fingerprint == expected
        with pytest.raises(InputError, match="'nope'"):
            load(name, now=False, space="nope")
    monkeypatch.setattr(model_loading, "build_model", lambda *_, **__: pytest.fail("was loaded"))
    with pytest.raises(InputError, match="'nope'"):
        load("mini", space="nope")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_an_index_holds_the_vectors_of_transformers(kind, folders, tmp_path):
    frames, official = frames_of(1, 40, 60), Official(folders[kind], kind)
    Image.fromarray(frames[0]).save(tmp_path / "photo.png")
    (tmp_path / "text.txt").write_text(TEXTS[0])
    index = Index(uri=str(tmp_path / "index"), assistant=TinySight(space_of(folders[kind])))
    index.add([tmp_path / "photo.png", tmp_path / "text.txt"])
    (held,) = index._store.scan("kind vector")
    assert held["kind"] == ["image", "text"]
    wanted = torch.cat([official.frames(frames), official.texts(TEXTS[:1])])
    assert close(torch.tensor(held["vector"]), wanted)
    hits = index.search(TEXTS[0], by="meaning")
    assert hits[1].kind == "text" and hits[1].similarity == pytest.approx(1, abs=1e-5)
    assert hits[0].similarity == pytest.approx(float(wanted[0] @ wanted[1]), abs=1e-5)
