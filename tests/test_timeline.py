"""Events over time: the paper's equations, borders, a clip looked at once and kept, moments."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from retrieval_sight import COLORS, RULES, tiny_sight
from test_index import color_clip
from torch.nn import functional as F

from assistant.core.progress import watched
from assistant.errors import ConfigError, InputError, VideoError
from assistant.model.features import FeatureStore
from assistant.model.sound_naming import SoundNaming
from assistant.sources import Perceived
from assistant.sources.bank import Bank, bank_of
from assistant.sources.heard import NO_SOUND
from assistant.sources.lexicon import load_lexicon
from assistant.sources.wording import phrase_of
from assistant.timeline import Knowledge, timeline_of, track
from assistant.timeline.borders import change_points, clearest_cut, exact_border, merged
from assistant.timeline.events import check_labels, few_shot, lexicon_head, zero_shot
from assistant.timeline.knowledge import as_line, knowledge_of, load_prompts, sentences_of
from assistant.timeline.making import maker_of
from assistant.timeline.moments import joined, smooth
from assistant.timeline.saliency import (
    event_probabilities,
    event_vector,
    label_vectors,
    late_fusion,
    saliency,
    scene_vector,
    video_vector,
)
from assistant.timeline.types import Heard, Moment


class Eyes:
    """What looks, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.sight, self.store = tiny_sight(), FeatureStore(folder)


@pytest.fixture
def eyes(tmp_path: Path, fresh_cache: Path) -> Eyes:
    return Eyes(tmp_path / "features")


@pytest.fixture
def judging(eyes: Eyes, tmp_path: Path) -> Eyes:
    """Whose space has calibrated rules beside its weights."""
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "moments.yaml").write_text(RULES)
    eyes.sight.space.folder = tmp_path / "space"
    return eyes


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return color_clip(tmp_path_factory.mktemp("films") / "film.mp4", "red", "blue", "red")


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


class TestEquations:
    """Against plain NumPy."""

    frames, words = vectors(9, 16), vectors(4, 16, seed=1)

    def test_saliency_of_a_sentence(self):
        x, z = self.frames.numpy(), self.words[0].numpy()
        wanted = softmax(x @ z / 0.05, 0)
        found = saliency(self.frames, self.words[:1], tau=0.05)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
        np.testing.assert_allclose(event_vector(self.frames, found).numpy(), wanted @ x, atol=1e-5)

    def test_saliency_of_words_leaves_padding_out(self):
        there = torch.tensor([True, True, False, True])
        x, w = self.frames.numpy(), self.words.numpy()[[0, 1, 3]]
        wanted = softmax(x @ w.T / 0.1, 0).mean(1)
        found = saliency(self.frames, self.words, there, 0.1)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
        changed = self.words.clone()
        changed[2] = 100.0
        assert torch.equal(saliency(self.frames, changed, there, 0.1), found)
        assert not torch.allclose(saliency(self.frames, self.words, None, 0.1), found)

    def test_without_words_all_frames_are_alike(self):
        nothing = torch.zeros(4, dtype=torch.bool)
        assert saliency(self.frames, self.words, nothing).tolist() == pytest.approx([1 / 9] * 9)
        mean = event_vector(self.frames, saliency(self.frames, self.words[:0]))
        assert torch.allclose(mean, video_vector(self.frames), atol=1e-6)

    def test_scene_events_and_fusion(self):
        x, w = self.frames.numpy(), self.words.numpy()
        scene = scene_vector(video_vector(self.frames), self.words[0], 0.3)
        np.testing.assert_allclose(scene.numpy(), 0.3 * x.mean(0) + 0.7 * w[0], atol=1e-5)
        bias = torch.tensor([0.1, -0.2, 0.0, 1.0])
        found = event_probabilities(scene, 7 * self.words, bias)
        wanted = softmax(7 * w @ scene.numpy() + bias.numpy(), 0)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
        other = torch.full((4,), 0.25)
        fused = late_fusion(found, other, 0.6).numpy()
        np.testing.assert_allclose(fused, 0.6 * wanted + 0.1, atol=1e-5)

    def test_a_label_is_the_mean_direction_of_its_prompts(self):
        prompts = vectors(3, 2, 16)
        mean = prompts.numpy().mean(1)
        wanted = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        np.testing.assert_allclose(label_vectors(prompts).numpy(), wanted, atol=1e-5)


def least_cost(frames: np.ndarray, penalty: float, least: int) -> float:
    """Of all ways to part a few frames."""

    def scatter(part: np.ndarray) -> float:
        return float(((part - part.mean(0)) ** 2).sum())

    best, count = np.inf, len(frames)
    for number in range(count):
        for inner in itertools.combinations(range(1, count), number):
            edges = [0, *inner, count]
            if min(np.diff(edges)) >= least:
                parts = [frames[a:b] for a, b in itertools.pairwise(edges)]
                best = min(best, sum(map(scatter, parts)) + penalty * number)
    return best


class TestBorders:
    def test_made_up_scenes_are_found_exactly(self):
        rng = np.random.default_rng(0)
        lengths = [5, 3, 12, 4, 7, 30]
        scenes = np.repeat(rng.normal(size=(len(lengths), 32)), lengths, 0)
        noisy = scenes + 0.4 * rng.normal(size=scenes.shape)
        frames = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        assert change_points(frames) == np.cumsum(lengths)[:-1].tolist()

    @pytest.mark.parametrize("least", [1, 2, 3])
    @pytest.mark.parametrize("seed", range(6))
    def test_no_other_way_to_part_costs_less(self, seed, least):
        rng = np.random.default_rng(seed)
        frames = np.cumsum(rng.normal(size=(11, 4)), 0)
        frames /= np.linalg.norm(frames, axis=1, keepdims=True)
        edges = [0, *change_points(frames, 0.4, least), 11]
        parts = [frames[a:b] for a, b in itertools.pairwise(edges)]
        cost = sum(float(((p - p.mean(0)) ** 2).sum()) for p in parts) + 0.4 * (len(parts) - 1)
        assert cost == pytest.approx(least_cost(frames, 0.4, least))

    def test_what_stays_is_one_scene(self):
        assert change_points(np.ones((200, 4)) / 2) == []
        assert change_points(np.ones((1, 4)) / 2) == []

    def test_neighbours_with_one_label_that_are_alike_are_one(self):
        frames = np.eye(3)[[0, 0, 0, 1, 1, 2]]
        groups = [slice(0, 2), slice(2, 3), slice(3, 5), slice(5, 6)]
        assert merged(groups, frames, list("aaaa"), 0.9) == [slice(0, 3), *groups[2:]]
        assert merged(groups, frames, list("abaa"), 0.9) == groups

    def test_a_cut_is_no_slow_change(self):
        dark, light = np.zeros((4, 2, 2, 3), np.uint8), np.full((3, 2, 2, 3), 200, np.uint8)
        assert clearest_cut(np.concatenate([dark, light])) == (4, True)
        slow = np.repeat(np.arange(0, 250, 25, np.uint8), 12).reshape(-1, 2, 2, 3)
        assert not clearest_cut(slow)[1]

    def test_the_border_is_set_to_the_cut(self, film):
        assert exact_border(film, 5.3, 6.9) == pytest.approx(6.0, abs=0.11)
        assert exact_border(film, 1.0, 2.0) == 1.5  # nothing changes: the middle


class TestTrack:
    @pytest.mark.parametrize("duration", [0.4, 4.9, 5.0, 5.1, 29.9, 30.0, 30.1, 61.25, 7200.3])
    def test_blocks_cover_the_clip_without_gaps(self, duration):
        found = track.blocks(duration)
        assert found[0][0] == 0 and found[-1][1] == duration
        assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
        assert all(0 < count <= track.BLOCK for _, _, count in found)
        gaps = [(end - start) / count for start, end, count in found]
        assert max(gaps) <= track.STEP + 1e-6

    def test_what_was_seen_of_a_stopped_run_is_not_seen_again(self, eyes, film, monkeypatch):
        monkeypatch.setattr(track, "BLOCK", 4)
        seen, whole = [], track._block

        def until_stopped(path, key, sight):
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(key.start)
            return whole(path, key, sight)

        monkeypatch.setattr(track, "_block", until_stopped)
        with pytest.raises(KeyboardInterrupt):
            track.track_of(film, eyes.sight, eyes.store)
        assert seen == [0.0, 5.0]
        told: list[tuple[str, float]] = []
        monkeypatch.setattr(track, "_block", lambda *a: seen.append(a[1].start) or whole(*a))
        other = FeatureStore(eyes.store.folder)  # as of another process
        with watched(lambda doing, share: told.append((doing, share))):
            first = track.track_of(film, eyes.sight, other)
        assert seen == [0.0, 5.0, 10.0, 15.0]
        assert told[0] == (track.LOOKING, 0) and told[-1] == (track.LOOKING, 1)
        again = track.track_of(film, eyes.sight, other)
        assert len(seen) == 4 and torch.equal(first.frames, again.frames)
        assert first.seconds == again.seconds and len(first.seconds) == len(first.frames) == 15

    def test_blocks_are_all_that_is_decoded_at_once(self, eyes, film, monkeypatch):
        from assistant.media import video

        monkeypatch.setattr(track, "BLOCK", 4)
        asked, read = [], video.read_clip

        def reading(path, **options):
            asked.append((options["start"], options["end"], options["frames"]))
            return read(path, **options)

        monkeypatch.setattr(video, "read_clip", reading)
        track.track_of(film, eyes.sight, eyes.store)
        assert asked == track.blocks(18.0)  # each part of the clip once

    def test_a_damaged_block_is_seen_anew(self, eyes, film):
        first = track.track_of(film, eyes.sight, eyes.store)
        (kept,) = eyes.store.folder.glob("*.block.safetensors")
        content = bytearray(kept.read_bytes())
        content[-3] ^= 255
        kept.write_bytes(content)
        again = track.track_of(film, eyes.sight, eyes.store)
        assert torch.equal(first.frames, again.frames)
        assert kept.read_bytes() != content

    def test_another_space_sees_anew(self, eyes, film):
        track.track_of(film, eyes.sight, eyes.store)
        eyes.sight.space.version = "colors-2"
        track.track_of(film, eyes.sight, eyes.store)
        assert len(list(eyes.store.folder.glob("*.block.safetensors"))) == 2

    def test_a_store_that_cannot_be_written_is_told(self, eyes, film, monkeypatch):
        def full(self, name, content):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(FeatureStore, "write", full)
        found = track.track_of(film, eyes.sight, eyes.store)
        assert found.warnings == ("what is seen is not kept on disk: No space left on device",)
        assert timeline_of(film, eyes).warnings == found.warnings

    def test_the_likeliest_classes_stay(self, eyes, film):
        found = track.track_of(film, eyes.sight, eyes.store)
        classes = found.classes(found.within(6.0, 12.0), len(eyes.sight.class_names))
        assert classes.argmax(1).unique().tolist() == [list(COLORS).index("blue")]

    def test_what_is_no_clip_is_refused(self, eyes, tmp_path):
        Image.new("RGB", (48, 48)).save(tmp_path / "photo.png")
        with pytest.raises(
            InputError, match=r"photo.png: is a picture, and events happen in clips"
        ):
            timeline_of(tmp_path / "photo.png", eyes)
        with pytest.raises(VideoError, match=r"gone.mp4: is not there"):
            timeline_of(tmp_path / "gone.mp4", eyes)
        with pytest.raises(InputError, match="name the assistant"):
            timeline_of(tmp_path / "photo.png")


class TestKnowledge:
    def bank(self) -> Bank:
        """Each phrase its own direction."""
        phrases = load_lexicon().phrases
        weights = 12 * torch.eye(len(phrases))
        return Bank(phrases, weights, torch.full((len(phrases),), -6.0), None)

    def test_words_by_aspect(self, monkeypatch):
        bank = self.bank()
        monkeypatch.setattr(Bank, "probabilities", lambda self, x: self.logits(x).sigmoid())
        wanted = [("scenes", "beach"), ("activities", "running"), ("things", "frisbee")]
        wanted += [("who", "a dog"), ("weather", "rainbow")]
        frames = torch.zeros(2, len(bank.phrases))
        for one in wanted:
            frames[:, bank.phrases.index(one)] = 1.0
        classes = torch.tensor([[0.9, 0.1, 0.0, 0.0, 0.0, 0.0]] * 2)
        found = knowledge_of(bank, bank.probabilities(frames), classes, ["ball", *"bcdef"])
        assert found.scene == ("beach",) and found.activities == ("running",)
        assert found.objects[0] == "ball" and "frisbee" in found.objects
        assert found.environment == ("rainbow",)
        assert found.interactions == ("a dog running",)
        assert "Someone is running." in sentences_of(found)
        assert as_line(found).startswith(found.interactions[0] + "; ball")

    def test_nothing_sure_is_said_to_be_so(self):
        assert as_line(Knowledge()) == load_prompts().unknown and sentences_of(Knowledge()) == []

    def test_prompts_need_a_place_for_the_words(self):
        from dataclasses import replace

        with pytest.raises(ConfigError, match=r"wanted a text with one \{\}"):
            replace(load_prompts(), events=("a video",))
        with pytest.raises(ConfigError, match="aspects: scene, and wanted are"):
            replace(load_prompts(), aspects={"scene": load_prompts().aspects["scene"]})


class TestHeads:
    space = tiny_sight().space

    def test_zero_shot_by_texts(self):
        head = zero_shot(self.space, ["red", "blue"])
        red = F.normalize(torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0]), dim=0)
        assert head.best(red)[0][0] == "red" and len(head.best(red)) == 2
        assert sum(share for _, share in head.best(red)) == pytest.approx(1)

    def test_examples_outweigh_texts_and_labels_without_any_stay(self):
        green = torch.eye(8)[1:2]
        head = few_shot(self.space, {"lawn": green, "sky": torch.eye(8)[2:3]}, ["red"])
        assert head.names == ("lawn", "sky", "red")
        assert head.best(green[0])[0][0] == "lawn"
        assert head.best(torch.eye(8)[0])[0][0] == "red"
        many = few_shot(self.space, {"lawn": green.repeat(9, 1), "sky": torch.eye(8)[2:3]})
        assert many.best(green[0])[0][1] > head.best(green[0])[0][1]

    def test_the_lexicons_phrases_as_they_are_trained(self):
        bank, head = bank_of(self.space), lexicon_head(self.space, "weather")
        frame = vectors(8)
        own = bank.within("weather")
        wanted = bank.logits(frame[None])[0, own].softmax(0)
        assert torch.allclose(head.probabilities(frame), wanted, atol=1e-5) and head.once
        assert head.names[0] == load_lexicon().phrases[own[0]][1]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (["one"], "holds 1 labels; give 2 to"),
            (["a", "b", "a"], "holds 'a' twice"),
            (["a", "b" * 300], "a label has 300 letters"),
        ],
    )
    def test_labels_that_cannot_be_told_apart(self, labels, message):
        with pytest.raises(InputError, match=message):
            check_labels(labels, "labels.txt")


class TestMoments:
    def test_a_phrase_of_the_lexicon_whatever_its_article(self):
        dog = phrase_of("dog")
        assert dog is not None and load_lexicon().phrases[dog][1] == "dog"
        assert phrase_of("The dogs") == phrase_of("there is a dog?") == dog
        assert phrase_of("a dog that runs away") is None and phrase_of("a") is None
        elderly = phrase_of("the elderly man")  # another name of a phrase
        assert elderly is not None and load_lexicon().phrases[elderly][1] == "an old man"

    def test_scores_are_smoothed(self):
        assert smooth(np.array([0.0, 3.0, 0.0, 0.0])).tolist() == [1, 1, 1, 0]
        assert smooth(np.array([5.0])).tolist() == [5] and len(smooth(np.zeros(2))) == 2

    def test_what_touches_is_one_moment(self):
        found = joined([Moment(0, 2, 0.4), Moment(2, 3, 0.9), Moment(5, 6, 0.5)])
        assert found == [Moment(0, 3, 0.9), Moment(5, 6, 0.5)]


class TestTimeline:
    def test_scenes_with_their_times(self, eyes, film):
        found = timeline_of(film, eyes, head=zero_shot(eyes.sight.space, list(COLORS)))
        assert [one.label for one in found.segments] == ["red", "blue", "red"]
        edges = [one.start for one in found.segments] + [found.segments[-1].end]
        assert edges == pytest.approx([0, 6, 12, 18], abs=0.11)
        assert all(one.end == other.start for one, other in itertools.pairwise(found.segments))
        first, middle, last = found.segments
        assert middle.saliency > 0.9  # all that is blue is here
        assert first.saliency == pytest.approx(last.saliency, abs=0.05)
        assert first.labels[0] == (first.label, first.score) and first.score > 0.5
        assert "red" in first.knowledge.objects and first.description
        assert found.windows[0].end == 5.0 and found.windows[-1].end == found.duration == 18
        assert found.windows[0].knowledge.objects == ("red",)

    def test_moments_and_what_does_not_appear(self, judging, film):
        found = timeline_of(film, judging, queries=["red", "something blue", "green grass", "dog"])
        red, blue, green, dog = found.queries
        assert [(round(m.start), round(m.end)) for m in red.moments] == [(0, 6), (12, 18)]
        assert [(round(m.start), round(m.end)) for m in blue.moments] == [(6, 12)]
        assert blue.calibrated and blue.threshold == 0.7 and "cosine" in blue.score_kind
        assert not green.appears and green.best.score < 0.7
        assert not dog.appears and "lexicon" in dog.score_kind and dog.threshold == 8.5
        assert sum(blue.saliency) == pytest.approx(1) and len(blue.saliency) == 15
        at = np.array(found.seconds)
        assert np.array(blue.saliency)[(at > 6) & (at < 12)].sum() > 0.5

    def test_rules_of_another_space_do_not_count(self, judging, film):
        judging.sight.space.version = "colors-2"
        (query,) = timeline_of(film, judging, queries=["something blue"]).queries
        assert not query.calibrated and "deviations" in query.score_kind

    def test_a_second_timeline_is_read_alone(self, eyes, film, monkeypatch):
        first = timeline_of(film, eyes).as_dict()

        def never(*_, **__):
            raise AssertionError("it was decoded or told again")

        monkeypatch.setattr("assistant.media.video.read_clip", never)
        monkeypatch.setattr("assistant.timeline.making.sentences", never)
        assert timeline_of(film, eyes).as_dict() == first

    def test_a_clip_is_listened_to_where_somebody_asks(self, eyes, film, monkeypatch):
        heard = [Perceived("beep", 0.9, 1.0, 2.0)]
        monkeypatch.setattr("assistant.timeline.making.check_extra", lambda: None)
        monkeypatch.setattr("assistant.timeline.making.heard_in", lambda sound: heard)
        eyes.sounds = SoundNaming()
        assert timeline_of(film, eyes).heard == ()
        found = timeline_of(film, eyes, listen=True)
        assert found.heard == (Heard("beep", 1.0, 2.0, 0.9),) and not found.warnings
        heard[:] = [Perceived(NO_SOUND, 1.0)]
        found = timeline_of(film, eyes, listen=True)
        assert found.heard == () and "no sound" in found.warnings[0]

    def test_a_describer_is_asked_once_for_each_scene(self, eyes, film):
        asked = []

        def describe(start: float, end: float) -> str:
            asked.append((round(start), round(end)))
            return "A\nroom."

        found = timeline_of(film, eyes, describe=describe)
        assert asked == [(0, 6), (6, 12), (12, 18)]
        assert {one.description for one in found.segments} == {"A room."}

    def test_a_short_clip_is_one_scene(self, eyes, tmp_path):
        clip = color_clip(tmp_path / "short.mp4", "red", seconds=1.0)
        (one,) = timeline_of(clip, eyes).segments
        assert (one.start, one.end) == (0, 1)

    def test_scene_vectors_take_alpha(self, eyes, film):
        maker = maker_of(film, eyes)
        group = slice(0, 4)
        alone = maker.scene(group, 1.0)
        assert torch.allclose(alone, video_vector(maker.track.frames[group]))
        assert not torch.allclose(maker.scene(group, 0.5), alone)

    def test_an_empty_query_is_refused_before_anything_is_looked_at(self, eyes):
        with pytest.raises(InputError, match="a query is empty"):
            timeline_of("gone.mp4", eyes, queries=["  "])
