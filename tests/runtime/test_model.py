"""The runtime on the tiny bundle: exact at every seam, the same for the same seed, clear when it refuses."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import distill
from distill.decoder import ChunkDecoder

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


def latents_of(model: distill.Model, frames: int) -> np.ndarray:
    return RNG.standard_normal((model.latent_dim, frames)).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 13, 64, 100, 1000])
@pytest.mark.parametrize("frames", [1, 2, 12, 13, 129])
def test_chunked_equals_whole(model: distill.Model, chunk: int, frames: int) -> None:
    latents = latents_of(model, frames)
    std = np.array(model.sidecar.normalization.std, np.float32).reshape(2, 1, 1)
    whole = model.decode(latents, chunk=10_000)
    assert whole.shape == (2, model.spec.n_mels, frames * model.sidecar.latent.frames_per_latent)
    np.testing.assert_allclose(model.decode(latents, chunk) / std, whole / std, atol=1e-5)


def test_too_little_context_would_be_heard(model: distill.Model) -> None:
    """The stored receptive field is needed: with half of it on a side the promise of 1e-5 does not hold."""
    decoder: ChunkDecoder = model._decoder
    latents = latents_of(model, 60)
    whole = decoder.normalised(latents, 60)
    for side in ("left", "right"):
        short = replace(decoder, **{side: getattr(decoder, side) // 2})
        assert np.abs(short.normalised(latents, 20) - whole).max() > 1e-5


def test_pieces_of_any_size_give_the_same_bits(model: distill.Model) -> None:
    latents = latents_of(model, 200)
    expected = np.concatenate(list(model._decoder.stream([latents])), axis=2)
    for sizes in ([1] * 200, [199, 1], [3, 64, 0, 65, 68]):
        edges = np.cumsum([0, *sizes])
        pieces = [latents[:, a:b] for a, b in itertools.pairwise(edges)]
        assert np.array_equal(np.concatenate(list(model._decoder.stream(pieces)), axis=2), expected)


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize("block", [1, 511, 512, 100_000])
def test_stream_equals_generate(model: distill.Model, quality: str, block: int) -> None:
    seconds = 0.05 if block == 1 else 4.0
    whole = model.generate(seconds, seed=3, quality=quality)
    blocks = list(model.stream(seconds, seed=3, quality=quality, block=block))
    assert {len(b) for b in blocks[:-1]} <= {block}
    assert np.array_equal(np.concatenate(blocks), whole)


def test_endless_stream_begins_like_a_finite_one(model: distill.Model) -> None:
    finite = model.generate(2.0, seed=5)
    endless = np.concatenate(list(itertools.islice(model.stream(seed=5, block=1000), len(finite) // 1000)))
    before_the_end = len(finite) - model.sample_rate  # the finite one knows its end: the look-ahead there differs
    assert np.array_equal(endless[:before_the_end], finite[:before_the_end])


@pytest.mark.parametrize("seconds", [1e-6, 0.001, 0.0427, 1.0, 3.33])
def test_length_is_exact(model: distill.Model, seconds: float) -> None:
    audio = model.generate(seconds)
    assert audio.dtype == np.float32 and audio.shape == (max(1, round(seconds * model.sample_rate)),)
    assert np.isfinite(audio).all()


def test_seed_and_knobs_matter(model: distill.Model) -> None:
    first = model.generate(1.5, seed=1)
    assert np.array_equal(first, model.generate(1.5, seed=1))
    assert not np.allclose(first, model.generate(1.5, seed=2))
    assert not np.allclose(first, model.generate(1.5, seed=1, wander=0.0))
    assert not np.allclose(first, model.generate(1.5, seed=1, quality="fast"))
    assert np.sqrt(np.mean(first ** 2)) > 1e-3


def test_high_is_for_files_only(model: distill.Model) -> None:
    assert np.isfinite(model.generate(0.5, quality="high")).all()
    with pytest.raises(distill.InvalidValue, match="high"):
        model.stream(1.0, quality="high")


def test_no_click_at_either_end(model: distill.Model) -> None:
    audio = model.generate(2.0, seed=1)
    assert abs(audio[0]) < 1e-3 and abs(audio[-1]) < 1e-3


def test_encode_then_synthesize_gives_the_length_back(model: distill.Model) -> None:
    time = np.arange(model.sample_rate) / model.sample_rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    latents = model.encode(tone, model.sample_rate)
    assert latents.shape == (model.latent_dim, -(-model.spec.frames(len(tone)) // 2))
    assert model.synthesize(latents, length=len(tone)).shape == tone.shape
    stereo = model.encode(np.stack([tone, tone]), model.sample_rate)
    np.testing.assert_allclose(stereo, latents, atol=1e-5)


def test_encoding_in_pieces_equals_encoding_at_once(model: distill.Model) -> None:
    noise = RNG.standard_normal(30 * model.sample_rate).astype(np.float32) * 0.1
    spectrogram = model._decoder.normalise(distill.analyze(noise, model.spec))
    frames = spectrogram.shape[2] - spectrogram.shape[2] % 2
    at_once = model._encoder.run(spectrogram[None, :, :, :frames])[0]
    in_pieces = model.encode(noise, model.sample_rate)[:, :at_once.shape[1]]
    np.testing.assert_allclose(in_pieces[:, :-16], at_once[:, :-16], atol=1e-4)


def test_encode_resamples(model: distill.Model) -> None:
    rate = 2 * model.sample_rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    there = model.encode(tone, rate)
    here = model.encode(tone[::2], model.sample_rate)
    assert there.shape == here.shape
    np.testing.assert_allclose(there[:, 8:-8], here[:, 8:-8], atol=0.05)


@pytest.mark.parametrize("knobs", [
    {"seconds": 0}, {"seconds": -1}, {"seconds": float("nan")}, {"seconds": 1e12}, {"seconds": "1"}, {"seconds": True},
    {"seed": -1}, {"seed": 1.5}, {"mode": "run"}, {"wander": 2}, {"wander": float("nan")}, {"quality": "best"},
])
def test_bad_knobs_are_named_at_once(model: distill.Model, knobs: dict[str, object]) -> None:
    (name,) = knobs
    with pytest.raises(distill.InvalidValue, match=name):
        model.generate(**{"seconds": 1.0, **knobs})  # type: ignore[arg-type]
    with pytest.raises(distill.InvalidValue, match=name):
        model.stream(**{"seconds": 1.0, **knobs})  # type: ignore[arg-type]


def test_bad_latents(model: distill.Model) -> None:
    for shape in ((model.latent_dim + 1, 4), (4,), (1, model.latent_dim, 4)):
        with pytest.raises(distill.InvalidValue, match=str(model.latent_dim)):
            model.decode(np.zeros(shape))
    with pytest.raises(distill.NumericError):
        model.decode(np.full((model.latent_dim, 4), np.nan))
    assert model.decode(np.zeros((model.latent_dim, 0))).shape[2] == 0


def test_lone_decoder_works(tiny: Path, tmp_path: Path, model: distill.Model) -> None:
    shutil.copy(tiny / "decoder.onnx", tmp_path / "alone.onnx")
    alone = distill.load(tmp_path / "alone.onnx")
    latents = latents_of(model, 20)
    assert np.array_equal(alone.decode(latents), model.decode(latents))
    assert alone.prior is None
    audio = alone.generate(1.0, seed=1)
    assert np.sqrt(np.mean(audio ** 2)) > 1e-4
    with pytest.raises(distill.BundleError, match="encoder"):
        alone.encode(np.zeros(1000), 16_000)


def test_found_by_name(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny, tmp_path / "bells")
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path))
    assert distill.load("bells").latent_dim == distill.load(tiny).latent_dim
    with pytest.raises(distill.NotFound, match="bells"):
        distill.load("bella")


@pytest.mark.parametrize("file", ["decoder.onnx", "encoder.onnx", "prior.npz"])
def test_damaged_or_swapped_files_are_refused(tiny_copy: Path, file: str) -> None:
    data = bytearray((tiny_copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (tiny_copy / file).write_bytes(data)
    with pytest.raises(distill.BundleError, match=file):
        spoilt = distill.load(tiny_copy)
        spoilt.encode(np.zeros(16_000), 16_000)
        spoilt.generate(0.1)


def test_missing_files_are_refused(tiny_copy: Path) -> None:
    (tiny_copy / "prior.npz").unlink()
    with pytest.raises(distill.BundleError, match="prior.npz"):
        distill.load(tiny_copy).generate(0.1)
    (tiny_copy / "decoder.onnx.json").unlink()
    with pytest.raises(distill.BundleError, match="Incompatible model format"):
        distill.load(tiny_copy)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    for name, data in (("model.pt", b"PK\x03\x04"), ("x.onnx", b"not a graph"), ("y.onnx", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(distill.BundleError, match="Incompatible model format"):
            distill.load(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(distill.BundleError, match="Incompatible model format"):
        distill.load(tmp_path / "empty")


def test_sidecar_of_another_shape_is_refused(tiny_copy: Path) -> None:
    path = tiny_copy / "decoder.onnx.json"
    facts = json.loads(path.read_text())
    facts["bands"]["n_mels"] //= 2
    path.write_text(json.dumps(facts))
    with pytest.raises(distill.BundleError, match="n_mels"):
        distill.load(tiny_copy)


def test_cuda_is_refused_where_there_is_none(tiny: Path) -> None:
    import onnxruntime

    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    with pytest.raises(distill.DeviceError, match="onnxruntime-gpu"):
        distill.load(tiny, device="cuda")
    with pytest.raises(distill.InvalidValue, match="device"):
        distill.load(tiny, device="tpu")  # type: ignore[arg-type]
    assert distill.load(tiny, device="auto").provider == "CPUExecutionProvider"
