"""Sound made ahead of time: the same whatever was foreseen, and made in blocks where it comes true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill import dsp
from distill.blending import ModelSlot
from distill.dsp.foresight import BLOCK
from distill.foreseen import Foreseen
from distill.live import Live


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of every push of a synthesizer."""
    sizes: list[int] = []
    honest = dsp.Synthesizer.push
    monkeypatch.setattr(dsp.Synthesizer, "push", lambda self, frames, *rest: (
        sizes.append(np.shape(frames)[2]), honest(self, frames, *rest))[1])
    return sizes


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize("honesty", [1.0, 0.8, 0.0])
def test_guesses_change_nothing(model: distill.Model, quality: str, honesty: float) -> None:
    """Right, wrong and short guesses, pieces of all lengths, none among them: the sound of one call, bit for bit."""
    rng = np.random.default_rng(3)
    latents = rng.standard_normal((model.latent_dim, 150)).astype(np.float32)
    frames = model.decode(latents)
    stream = dsp.ForesightedSynthesizer(dsp.Synthesizer(model.spec, quality))
    sound, at = [], 0
    while at < frames.shape[2]:
        count = int(rng.integers(0, 5))

        def ahead(most: int, after: int = at + count) -> np.ndarray:
            truth = frames[:, :, after:after + int(rng.integers(0, most + 1))]
            return truth if rng.uniform() < honesty else truth + np.float32(1)

        sound.append(stream.push(frames[:, :, at:at + count], ahead))
        at += count
    waiting = max(0, frames.shape[2] - dsp.Synthesizer(model.spec, quality).latency_frames)
    assert sum(map(len, sound)) == waiting * model.spec.hop_length
    sound.append(stream.flush())
    whole = dsp.synthesize(frames, model.spec, quality)
    assert np.array_equal(np.concatenate(sound), whole)
    again = [stream.push(frames, lambda most: frames[:, :, :0]), stream.flush()]  # another recording
    assert np.array_equal(np.concatenate(again), whole)


def test_a_guess_that_fails_is_not_made_as_far_again(model: distill.Model, pushed: list[int]) -> None:
    """Frames that never are what was foreseen cost a push each and few frames more; foresight comes back at rest."""
    frames = model.decode(np.zeros((model.latent_dim, 200), np.float32))
    stream = dsp.ForesightedSynthesizer(dsp.Synthesizer(model.spec, "fast"))
    for at in range(0, 100, 2):
        stream.push(frames[:, :, at:at + 2] + np.float32(at / 100), lambda most: frames[:, :, :most])
    assert len(pushed) == 50 and sum(pushed) <= 2 * BLOCK + 3 * 100
    pushed.clear()
    for at in range(100, 200, 2):
        stream.push(frames[:, :, at:at + 2], lambda most, at=at: frames[:, :, at + 2:at + 2 + most])  # type: ignore[misc]
    assert len(pushed) <= 100 / BLOCK + 6


def voices(model: distill.Model) -> Iterator[Any]:
    yield model
    for mode in ("spectral", "latent"):
        yield distill.blend([ModelSlot(model, 0.3), ModelSlot(model, 0.7)], mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("knobs", [{}, {"mode": "crossfade", "segment": 0.5, "overlap": 0.25}, {"mode": "interpolate"}])
def test_a_live_sound_at_rest_is_made_in_blocks(model: distill.Model, knobs: dict[str, Any], pushed: list[int]) -> None:
    for voice, chunk in [*((voice, 1) for voice in voices(model)), (model, 3)]:
        pushed.clear()
        sound = np.concatenate(list(Live(voice, chunk=chunk, seed=4, **knobs).stream(2.0)))
        frames = len(sound) / model.spec.hop_length
        assert len(pushed) < 0.15 * frames  # a push for every latent frame would be half of them
        assert sum(pushed) < 1.05 * frames + 2 * BLOCK


def test_what_follows_is_asked_of_the_last_piece() -> None:
    pieces = Foreseen(iter([("a", lambda n: "b" * n), ("b", lambda n: "c" * n)])).mapped(str.upper)
    assert [next(pieces), pieces.ahead(2), pieces.ahead(1), next(pieces), pieces.ahead(1)] == ["A", "BB", "B", "B", "C"]
    with pytest.raises(StopIteration):
        next(pieces)
