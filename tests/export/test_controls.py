"""Sliders get their names from what they do: tried out on a decoder of which that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from distill.sidecar import Control, Sidecar, parse
from distill.sliders import Sliders
from distill_export import controls
from distill_export.controls import (
    STEPS,
    Finding,
    excerpts,
    judge,
    measure_controls,
    named_control,
    p_value,
    plain_controls,
    positions,
    told_apart,
)
from distill_export.descriptors import DESCRIPTORS, describe
from distill_export.encode import EncodedCorpus, latent_facts

RNG = np.random.default_rng(0)
DIM = 4


class Known:
    """A decoder whose first dimension is tilt, turned round, the second level; the third does nothing, and the fourth
    makes every other excerpt louder and the rest softer."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar, self.spec = sidecar, sidecar.spec

    def latents(self, knobs: Any, frames: int) -> Iterator[np.ndarray]:
        yield np.random.default_rng(knobs.seed).standard_normal((DIM, frames // 2)).astype(np.float32)

    def decoded(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        bands = np.linspace(-1, 1, self.spec.n_mels)[:, None]
        for latents in pieces:
            tilt, level, _, odd = np.repeat(latents, 2, axis=1)
            noise = -50 - 10 * bands + 2 * level - 4 * tilt * bands + 2 * odd * np.sign(latents[2, 0])
            yield np.stack([noise + 0 * bands, np.zeros((len(bands), len(level)))]).astype(np.float32)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    """Five recordings, most of their variance in the first dimension, then the second, and so on, uncorrelated."""
    raw = RNG.standard_normal((450, DIM))
    raw[270:360, 0] += 1.5  # recording 3 is dark
    raw[360:, 0] -= 1.5  # recording 4 is bright
    mixed, triangle = np.linalg.qr(raw - raw.mean(axis=0))
    latents = (mixed * np.sign(np.diag(triangle)) * np.sqrt(450) * (3.0, 2.0, 1.2, 0.8)).T.astype(np.float32)
    return EncodedCorpus(np.split(latents, 5, axis=1), [f"{i}.wav" for i in range(5)], [np.ones(90)] * 5, 0.0)


@pytest.fixture(scope="module")
def model(tiny: Path, corpus: EncodedCorpus) -> Known:
    sidecar = parse((tiny / "decoder.onnx.json").read_bytes(), "x")
    return Known(replace(sidecar, latent=latent_facts(corpus, 2, sidecar.spec), controls=[]))


@pytest.fixture(scope="module")
def measured(model: Known, corpus: EncodedCorpus) -> list[Control]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "EXCERPT_SECONDS", 0.15)
        patch.setattr(controls, "WALK_SECONDS", 1.0)
        return measure_controls(model, corpus)  # type: ignore[arg-type]


def test_names_say_what_the_sliders_do(measured: list[Control]) -> None:
    assert [(c.name, c.label, c.descriptor) for c in measured[:2]] == [
        ("brightness", "PC1 (Brightness)", "centroid"), ("loudness", "PC2 (Loudness)", "rms")]
    assert [(c.name, c.label, c.descriptor) for c in measured[2:]] == [("pc3", "PC3", None), ("pc4", "PC4", None)]
    assert measured[1].change == pytest.approx(2 * (measured[1].high - measured[1].low), rel=0.1)


def test_turned_up_it_rises(model: Known, corpus: EncodedCorpus, measured: list[Control]) -> None:
    sliders = Sliders(replace(model.sidecar, controls=measured))
    for control, dimension, direction in ((measured[0], 0, -1), (measured[1], 1, 1)):
        offset = sliders.offset(sliders.values({control.name: 10}))[:, 0]
        assert np.abs(offset).argmax() == dimension and np.sign(offset[dimension]) == direction
    assert (measured[0].low_file, measured[0].high_file) == ("3.wav", "4.wav")


def test_a_slider_for_each_axis_worth_one(model: Known) -> None:
    pca = model.sidecar.latent.pca
    some = replace(pca, variance_ratio=[0.5, 0.021, 0.02, 0.001])
    assert [c.name for c in plain_controls(some)] == ["pc1", "pc2"]
    flat = replace(pca, p50=[pca.p01[0], *pca.p50[1:]])  # half the corpus at one end: nothing to scale by
    assert [c.name for c in plain_controls(flat)] == ["pc2", "pc3", "pc4"]
    many = replace(pca, components=[[1.0] * DIM] * 12, variance_ratio=[0.08] * 12, p01=[-1.0] * 12, p50=[0.0] * 12,
                   p99=[1.0] * 12)
    assert len(plain_controls(many)) == 8


def test_names_that_come_twice_get_a_number(model: Known) -> None:
    found = Finding("rms", -0.9, 0.001, -0.8, -12.0)
    plain = plain_controls(model.sidecar.latent.pca)
    told = told_apart([named_control(c, found) for c in plain[:3]] + [plain[3]])
    assert [c.name for c in told] == ["loudness", "loudness-2", "loudness-3", "pc4"]
    assert [c.label for c in told[:3]] == ["PC1 (Loudness)", "PC2 (Loudness 2)", "PC3 (Loudness 3)"]
    first = told[0]
    assert (first.sign, first.low, first.mid, first.high) == (-1, -plain[0].high, -plain[0].mid, -plain[0].low)
    assert first.correlation == 0.9 and first.change == 12.0 and first.unit == "dB"


def test_excerpts_come_from_the_louder_half_of_one_recording_each(corpus: EncodedCorpus) -> None:
    power = [np.where(np.arange(90) < 45, 1.0, 1e-6) if i < 3 else np.full(90, 1e-6) for i in range(5)]
    parts = excerpts(replace_power(corpus, power), 20)
    assert len(parts) == 10
    for part in parts:
        starts = [(i, s) for i in range(5) for s in range(71) if np.array_equal(corpus.latents[i][:, s:s + 20], part)]
        assert len(starts) == 1
    short = EncodedCorpus([corpus.latents[0][:, :3]], ["a.wav"], [np.ones(3)], 0.0)
    assert [part.shape for part in excerpts(short, 20)] == [(DIM, 3)]


def replace_power(corpus: EncodedCorpus, power: list[np.ndarray]) -> EncodedCorpus:
    return EncodedCorpus(corpus.latents, corpus.files, power, corpus.loudest_db)


def test_only_what_follows_the_slider_counts() -> None:
    v = positions()
    assert len(v) == STEPS == 21
    noise = 0.1 * RNG.standard_normal((8, STEPS))
    apart = 30 * RNG.standard_normal((8, 1))  # what excerpts sound like to begin with
    rising = judge("rms", apart + 0.5 * v + noise)
    assert rising is not None and rising.correlation > 0.99 and rising.p < 1e-10 and rising.strength > 0.99
    assert rising.change == pytest.approx(10, rel=0.02)
    falling = judge("rms", apart - 0.5 * v + noise)
    assert falling is not None and falling.correlation < -0.99 and falling.change < -9
    bent = judge("rms", apart + np.square(v) / 10 + noise)
    assert bent is not None and abs(bent.correlation) < 0.1 and bent.p > 0.05
    gaps = apart + 0.5 * v + noise
    gaps[:3, :10] = np.nan  # mostly silent
    gaps[4, 5] = np.nan
    some = judge("pitch", gaps)
    assert some is not None and some.change == pytest.approx(10, rel=0.05)
    gaps[:6] = np.nan
    assert judge("pitch", gaps) is None
    still = judge("rms", np.zeros((8, STEPS)))
    assert still is not None and (still.correlation, still.p, still.change) == (0, pytest.approx(1), 0)


def test_near_ties_go_to_the_more_telling_name() -> None:
    v = positions()
    noise = 0.3 * RNG.standard_normal((8, STEPS))
    rows = {"zero_crossings": v / 10 + 0 * noise, "centroid": v / 10 + 0.1 * noise, "rms": v + 20 * noise}
    assert [f.descriptor for f in controls.candidates(rows)][:2] == ["centroid", "zero_crossings"]
    assert controls.candidates({"rms": v / 50 + 0 * noise, "pitch": v / 1000 + 0 * noise}) == []  # nobody would hear it


@pytest.mark.parametrize("count", [4, 21, 200])
def test_p_is_that_of_pearson(count: int) -> None:
    for mix in (0.0, 0.1, 0.5, 3.0):
        x, y = RNG.standard_normal((2, count))
        found = stats.pearsonr(x, y + mix * x)
        assert p_value(found.statistic, count - 2) == pytest.approx(found.pvalue, rel=1e-3, abs=1e-12)


def test_descriptors_describe(model: Known) -> None:
    spec, rate = model.spec, model.spec.sample_rate
    time = np.arange(rate) / rate
    tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    rich = sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 12)).astype(np.float32) * np.float32(0.05)
    noise = (0.1 * RNG.standard_normal(rate)).astype(np.float32)
    told, buzzing, hissing = (describe(sound, spec) for sound in (tone, rich, noise))
    assert set(told) == set(DESCRIPTORS)
    for key in ("centroid", "rolloff", "zero_crossings", "pitch"):
        wanted = 880 if key == "zero_crossings" else 440
        assert 2 ** told[key] == pytest.approx(wanted, rel=0.01 if key == "pitch" else 0.1), key
    assert told["rms"] == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.05)
    assert 2 ** buzzing["pitch"] == pytest.approx(220, rel=0.01) and buzzing["centroid"] > told["centroid"]
    assert np.isnan(hissing["pitch"]) and hissing["flatness"] > -4 > -20 > told["flatness"]
    louder = describe(3 * rich, spec)
    assert louder["rms"] - buzzing["rms"] == pytest.approx(20 * np.log10(3), abs=1e-3)
    for key in ("centroid", "flatness", "rolloff", "zero_crossings", "pitch"):  # level is not among what they tell
        assert louder[key] == pytest.approx(buzzing[key], abs=1e-3)
    for silence in (np.zeros(rate, np.float32), np.zeros(0, np.float32)):
        nothing = describe(silence, spec)
        assert nothing["rms"] == -200 and all(np.isnan(nothing[key]) for key in DESCRIPTORS if key != "rms")
    assert np.isnan(describe(tone[:100], spec)["pitch"]) and list(describe(tone, spec, ["rms"])) == ["rms"]
