"""Variants at run time: chosen by name, bit-equal on the grid, near elsewhere, held to their own tolerance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import distill
from distill.golden import replay

Run = Callable[..., "CompletedProcess[str]"]
RNG = np.random.default_rng(11)


def normalised(model: distill.Model, latents: np.ndarray, chunk: int | None = None) -> np.ndarray:
    return model._decoder.normalised(latents, chunk)


@pytest.mark.parametrize("variant", ["fp16", "int8"])
def test_variants_sound_like_fp32(tiny: Path, variant: str) -> None:
    full, small = distill.load(tiny), distill.load(tiny, variant=variant)
    assert full.variant == "fp32" and small.variant == variant
    assert full.prior is not None
    latents = full.prior.latents[:, :200]
    error = np.abs(normalised(full, latents) - normalised(small, latents)).max()
    assert 0 < error < 0.25


@pytest.mark.parametrize("variant", ["fp16", "int8"])
def test_calls_on_the_grid_are_bit_equal(tiny: Path, variant: str) -> None:
    """However the latents arrive, the grid's chunks are decoded: int8's scales are those of the same chunk."""
    model = distill.load(tiny, variant=variant)
    latents = RNG.standard_normal((model.latent_dim, 200)).astype(np.float32)
    expected = normalised(model, latents)
    pieces = [latents[:, a:b] for a, b in ((0, 3), (3, 64), (64, 65), (65, 190), (190, 200))]
    assert np.array_equal(np.concatenate(list(model._decoder.stream(pieces)), axis=2), expected)
    whole = model.generate(3.0, seed=2)
    assert np.array_equal(np.concatenate(list(model.stream(3.0, seed=2, block=333))), whole)


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_int8_off_the_grid_is_near(tiny: Path, chunk: int) -> None:
    """Another chunk has other scales. Measured: at most 0.02 normalised units here; fp32 stays under 1e-5."""
    model = distill.load(tiny, variant="int8")
    assert model.prior is not None
    latents = model.prior.latents[:, :200]
    error = np.abs(normalised(model, latents, chunk) - normalised(model, latents)).max()
    assert 0 < error < 0.1


def test_variants_that_are_not_there(tiny: Path, tiny_copy: Path, run: Run) -> None:
    with pytest.raises(distill.InvalidValue, match="fp32, fp16 or int8"):
        distill.load(tiny, variant="int4")  # type: ignore[arg-type]
    sidecar = tiny_copy / "decoder.onnx.json"
    facts = json.loads(sidecar.read_text())
    facts["files"] = [entry for entry in facts["files"] if entry["role"] != "decoder.int8"]
    sidecar.write_text(json.dumps(facts))
    assert distill.load(tiny_copy).sidecar.variants == ("fp32", "fp16")
    result = run("distill", "generate", tiny_copy, "-o", tiny_copy / "x.wav", "--variant", "int8")
    assert result.returncode == 2 and "fp32, fp16" in result.stderr and "--variants int8" in result.stderr
    assert not (tiny_copy / "x.wav").exists()


def test_a_damaged_variant_is_found(tiny_copy: Path, run: Run) -> None:
    path = tiny_copy / "decoder.int8.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert distill.load(tiny_copy).variant == "fp32"  # its own file is whole
    with pytest.raises(distill.BundleError, match=r"int8\.onnx"):
        distill.load(tiny_copy, variant="int8")
    assert run("distill", "check", tiny_copy).returncode == 4


def test_check_replays_every_variant(tiny: Path, run: Run) -> None:
    facts = json.loads(run("distill", "check", tiny, "--json").stdout)
    assert [row["variant"] for row in facts["variants"]] == ["fp32", "fp16", "int8"]
    assert facts["variant"] == "fp32" and facts["max_error"] <= facts["max_error_allowed"]


def test_a_variant_beyond_its_own_proof_fails_the_check(tiny: Path) -> None:
    """int8's tolerance comes from what its export measured, and is not endless."""
    model = distill.load(tiny, variant="int8")
    honest = model._engine.run
    model._engine.run = lambda array: honest(array) + np.float32(0.3)  # type: ignore[method-assign]
    with pytest.raises(distill.BundleError, match="int8 does not sound as exported"):
        replay(model)


def test_threads_do_not_change_the_samples(tiny: Path) -> None:
    one, two = distill.load(tiny, threads=1), distill.load(tiny, threads=2)
    assert two.threads == 2
    assert np.array_equal(one.generate(1.0, seed=4), two.generate(1.0, seed=4))
