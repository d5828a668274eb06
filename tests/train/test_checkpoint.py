"""Checkpoints: they read back as they were, and what is none, or not one of ours, is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.train.runs import Make, equal_weights, go

from distill.errors import INCOMPATIBLE, BundleError, NotFound
from distill_train import load_checkpoint


def test_a_checkpoint_reads_back_as_tensors_and_plain_values(small: Make) -> None:
    result = go(small(steps=3))
    content = torch.load(result.path, weights_only=True)
    assert content["format"] == "distill.checkpoint"
    read = load_checkpoint(result.path)
    assert read.spec == result.checkpoint.spec and read.stats == result.checkpoint.stats
    assert read.corpus == result.checkpoint.corpus and len(read.sha256) == 64
    assert equal_weights(read, result.checkpoint)
    assert set(read.libraries) >= {"distill", "torch", "numpy"}


@pytest.mark.parametrize(
    ("spoil", "detail"),
    [
        (lambda c: c.pop("stats"), "lacks stats"),
        (lambda c: c.update(extra=1), "unknown key extra"),
        (lambda c: c.update(version=0), "version 0"),
        (lambda c: c.update(format="other"), "not a checkpoint of distill"),
        (lambda c: c["spec"].update(n_mels=32), "bands"),
        (lambda c: c["spec"].pop("n_mels"), "spec lacks n_mels"),
        (lambda c: c["ema"].pop("decoder.patch.bias"), "decoder.patch|patch.bias"),
        (lambda c: c["weights"]["decoder.patch.bias"].fill_(float("nan")), "NaN"),
    ],
)
def test_a_foreign_checkpoint_is_refused_by_name(
    small: Make, spoil: Callable[[dict[str, object]], object], detail: str
) -> None:
    path = go(small(steps=2)).path
    content = torch.load(path, weights_only=True)
    content["chosen"] = "ema" if detail != "NaN" else "raw"
    spoil(content)
    torch.save(content, path)
    with pytest.raises(BundleError, match=detail) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(INCOMPATIBLE)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(BundleError, match="Incompatible model format"):
        load_checkpoint(tmp_path)
    with pytest.raises(NotFound):
        load_checkpoint(tmp_path / "nowhere")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": Path("/")}, tmp_path / "checkpoint.pt")
    with pytest.raises(BundleError):
        load_checkpoint(tmp_path)
