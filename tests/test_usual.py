"""What is near to everything is found less: the bank, its correction, and a search with it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from retrieval_sight import ColorSpace, TinySight, tiny_sight
from test_index import color_clip, color_photo
from torch.nn import functional as F

from assistant.errors import InputError, WeightsError
from assistant.model.space.usual import CONFIG, WEIGHTS, UsualConfig, read_usual
from assistant.model.weight_files import save_weights
from assistant.retrieval import Index
from assistant.training.space.usual import centres_of

STEEP = 12.0


def unit(count: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)))


def write_bank(folder, texts, photos, space="colors-1", seed=0):
    state = {}
    for name, own in (("texts", texts), ("photos", photos)):
        state[name], state[f"{name}_shares"] = centres_of(own, len(own), seed)
    folder.mkdir(exist_ok=True)
    save_weights(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(yaml.safe_dump(asdict(UsualConfig(space, STEEP, 1.0))))
    return folder


def test_the_usual_is_the_log_mean_exp_over_the_bank(tmp_path):
    texts, photos, vectors = unit(20), unit(9, seed=1), unit(5, seed=2).numpy()
    usual = read_usual(write_bank(tmp_path, texts, photos), "colors-1", 8)
    for text, bank in ((False, texts), (True, photos)):
        plain = np.log(np.exp(STEEP * vectors @ bank.numpy().T).mean(1)) / STEEP
        np.testing.assert_allclose(usual.of(vectors, text=text), plain, atol=2e-3)  # kept as fp16


def test_centres_stand_for_what_is_near_them():
    bank, seen = unit(240), unit(50, seed=3)
    exact = torch.logsumexp(STEEP * seen @ bank.T, 1) - np.log(len(bank))
    errors = []
    for count in (1, 20, 240):
        means, shares = centres_of(bank, count, seed=0)
        assert shares.exp().sum() == pytest.approx(1) and len(means) <= count
        assert means.norm(dim=1).max() <= 1 + 1e-6
        near = torch.logsumexp(STEEP * seen @ means.T + shares, 1)
        assert (exact - near >= -1e-4).all()  # a mean of exponentials is above that of their mean
        errors.append(float((exact - near).mean()))
    assert errors[0] > 2 * errors[1] > 0 and errors[2] == pytest.approx(0, abs=1e-4)


def test_without_a_bank_nothing_is_usual(tmp_path):
    for folder in (None, tmp_path):
        found = read_usual(folder, "colors-1", 8)
        assert not found.digest and not found.of(unit(3).numpy(), text=True).any()


def test_a_bank_of_others_is_told(tmp_path):
    write_bank(tmp_path, unit(4), unit(4))
    with pytest.raises(WeightsError, match="is of another joint space; make it anew"):
        read_usual(tmp_path, "colors-2", 8)
    with pytest.raises(WeightsError, match=r"holds .* wanted"):
        read_usual(tmp_path, "colors-1", 9)


class TestSearch:
    @pytest.fixture
    def photos(self, tmp_path):
        (tmp_path / "photos").mkdir()
        for name in ("red", "green"):
            color_photo(tmp_path / "photos" / f"{name}.png", name)
        return tmp_path / "photos"

    def sight(self, folder):
        space = ColorSpace()
        space.folder = folder
        return TinySight(space)

    def test_what_is_near_to_most_queries_is_found_less(self, photos, tmp_path):
        space, place = ColorSpace(), str(tmp_path / "index")
        greens = space.embed_texts(["green"] * 9 + ["blue"])
        bank = write_bank(tmp_path / "bank", greens, unit(3))
        bare = Index("bare", uri=place, assistant=tiny_sight())
        bare.add([photos])
        query = "green green red"
        plain = bare.search(query, by="meaning", kinds=["image"])
        assert [hit.words[0] for hit in plain] == ["green", "red"]
        assert all(hit.score == hit.similarity for hit in plain)
        found = Index(uri=place, assistant=self.sight(bank))
        found.add([photos])
        hits = found.search(query, by="meaning", kinds=["image"])
        assert [hit.words[0] for hit in hits] == ["red", "green"]
        assert {hit.similarity for hit in hits} == {hit.similarity for hit in plain}
        assert hits[0].score > hits[1].score and hits[1].score < hits[1].similarity

    def test_pictures_are_less_usual_for_texts_and_texts_for_pictures(self, photos, tmp_path):
        place, both = str(tmp_path / "index"), ["image", "text"]
        (photos / "note.txt").write_text("Something red.\n")
        bank = write_bank(tmp_path / "bank", unit(3), unit(3, seed=1))
        found = Index(uri=place, assistant=self.sight(bank))
        found.add([photos])
        for query, changed in (("red", {"image"}), (photos / "red.png", {"text"})):
            hits = found.search(query, by="meaning", kinds=[*changed])
            assert all(abs(hit.similarity - hit.score) > 1e-3 for hit in hits)
            (other,) = {*both} - changed
            hits = found.search(query, by="meaning", kinds=[other])
            assert hits and all(hit.similarity == hit.score for hit in hits)

    def test_an_index_without_the_bank_is_another_one(self, photos, tmp_path):
        place = str(tmp_path / "index")
        Index(uri=place, assistant=tiny_sight()).add([photos])
        bank = write_bank(tmp_path / "bank", unit(3), unit(3))
        with pytest.raises(InputError, match=r"joint space colors-1, and this one is colors-1\+"):
            Index(uri=place, assistant=self.sight(bank)).search("red", by="meaning")


class TestReranking:
    @pytest.fixture
    def found(self, folder, tmp_path, monkeypatch):
        """Word by word, blue is all that counts."""

        def compare(self, look, texts):
            return self.embed_frames(look)[:, 2:3].expand(-1, len(texts))

        found = Index(uri=str(tmp_path / "index"), assistant=tiny_sight())
        found.add([folder])
        monkeypatch.setattr(ColorSpace, "compare", compare)
        return found

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "files"
        folder.mkdir()
        color_photo(folder / "green.png", "green")
        color_clip(folder / "film.mp4", "red", "blue")
        return folder

    def test_the_best_are_looked_at_again(self, found, folder):
        ask = {"by": "meaning", "kinds": ["clip", "image"]}
        plain = found.search("green blue", **ask)
        assert Path(plain[0].file).name == "green.png"
        hits = found.search("green blue", **ask, rerank=True)
        assert Path(hits[0].file).name == "film.mp4" and hits[0].end == 12
        blue = 0.97  # of the film's vector in its blue part
        assert hits[0].score == pytest.approx((hits[0].similarity + blue) / 2, abs=0.03)
        assert hits[0].similarity == next(h.similarity for h in plain if h.kind == "clip")

    def test_what_is_not_looked_at_stays_below(self, found, monkeypatch):
        monkeypatch.setattr("assistant.retrieval.reranking.RERANKED", 1)
        hits = found.search("green blue", by="meaning", kinds=["clip", "image"], rerank=True)
        assert Path(hits[0].file).name == "green.png"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_a_file_that_is_gone_keeps_its_score(self, found, folder):
        (folder / "film.mp4").unlink()
        ask = {"by": "meaning", "kinds": ["clip"]}
        scores = [[hit.score for hit in found.search("blue", **ask, rerank=r)] for r in (0, 1)]
        assert scores[0] == scores[1] != []

    def test_mistakes(self, found, folder, monkeypatch):
        for query, by in ((folder / "green.png", None), ("green", "words")):
            with pytest.raises(InputError, match="reranking compares words with what is seen"):
                found.search(query, by=by, rerank=True)
        monkeypatch.undo()
        with pytest.raises(InputError, match="compares whole vectors alone; leave --rerank out"):
            found.search("green", rerank=True)
