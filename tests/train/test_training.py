"""Runs: they learn, they can be stopped and resumed without a trace, and a checkpoint is what it says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.train.runs import Make, equal_weights, go

from distill.errors import InvalidValue, NotFound, NumericError
from distill_train import load_checkpoint, original_spectrograms, session
from distill_train.advice import stalled
from distill_train.checkpoint import READER
from distill_train.config import SIZES, Recipe
from distill_train.schedule import Budget, kl_weight, learning_rate
from distill_train.signals import Stopped, StopRequest
from distill_train.trainer import Trainer


class StopAfter(StopRequest):
    """A signal that comes after so many steps: the loop looks once before each."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @property  # type: ignore[override]
    def number(self) -> int | None:
        self.steps -= 1
        return 2 if self.steps < 0 else None

    def check(self) -> None:
        """Not before the first step."""


def test_a_run_learns_and_says_so(small: Make) -> None:
    result = go(small(steps=60))
    checkpoint = load_checkpoint(result.path.parent)
    assert checkpoint.steps == 60 and checkpoint.complete and checkpoint.created and result.signal is None
    first, last = checkpoint.history[0], checkpoint.history[-1]
    assert first["step"] == 0 and last["step"] == 60
    assert result.held_out_db is not None
    assert [file.held_out for file in checkpoint.corpus].count(True) == 1
    lines = (result.path.parent / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == checkpoint.history
    assert not list(result.path.parent.rglob("*.partial"))

    encoder, decoder = checkpoint.build_networks()
    assert not encoder.training and not decoder.training
    for file, spectrogram in original_spectrograms(result.path.parent, checkpoint):
        assert spectrogram.shape == (2, 64, 1 + -(-round(file.seconds * 16000) // 128))
        frames = spectrogram.shape[2] // 2 * 2
        normal = torch.from_numpy(checkpoint.stats.normalise(spectrogram[:, :, :frames].transpose(2, 0, 1)))
        target = normal[None].permute(0, 2, 3, 1)
        error = (decoder(encoder(target)[0]) - target)[:, 0].abs().mean() * checkpoint.stats.std[0]
        assert error < 6


def test_the_best_moment_is_kept_where_training_makes_it_worse(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([3.0, *[4.0] * 6, 2.0])
    monkeypatch.setattr(session, "EVALUATION_INTERVAL", 0.0)
    monkeypatch.setattr(session, "EVALUATION_SHARE", 1e9)
    monkeypatch.setattr(session, "level_error_db", lambda *_: next(errors, 4.0))
    seen: list[dict[str, torch.Tensor]] = []
    average = Trainer.average
    monkeypatch.setattr(Trainer, "average", lambda self: seen.append(average(self)) or seen[-1])
    checkpoint = go(small(steps=12)).checkpoint
    assert checkpoint.chosen == "best" and len(seen) == 2  # the start, and the seventh step
    latest = {name for name in seen[1] if name.startswith(READER)}  # fits any moment
    for name, tensor in seen[1].items():
        assert torch.equal(checkpoint.model_weights[name], checkpoint.ema[name] if name in latest else tensor)
    assert not all(torch.equal(checkpoint.ema[name], tensor) for name, tensor in seen[1].items() if name not in latest)
    assert not all(torch.equal(checkpoint.ema[name], seen[1][name]) for name in latest)
    again = load_checkpoint(small().run)
    assert again.chosen == "best" and torch.equal(again.best["decoder.patch.bias"], seen[1]["decoder.patch.bias"])


def test_the_network_is_as_large_as_what_the_components_leave_out(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few latents, as of a long corpus, leave much to the blocks."""
    enough = go(small(steps=1)).checkpoint.network
    monkeypatch.setattr("distill_train.prepare.affordable_latents", lambda per_latent, frames: 4 * per_latent)
    few = go(small(steps=1, run=tmp_path / "few")).checkpoint.network
    assert few.latent_dim < enough.latent_dim
    assert (enough.width, enough.blocks) == SIZES["small"].enough and (few.width, few.blocks) == SIZES["small"].most


def test_loss_falls(small: Make) -> None:
    options = small(steps=5)
    early = go(options).losses
    late = go(replace(options, steps=120, force=True)).losses
    assert late.level < early.level


def test_stopping_and_resuming_leaves_no_trace(small: Make, tmp_path: Path) -> None:
    straight = go(small(steps=24))
    broken = small(steps=24, run=tmp_path / "broken")
    stopped = go(broken, StopAfter(7))
    assert stopped.signal == 2 and stopped.checkpoint.steps == 7 and not stopped.checkpoint.complete
    again = go(replace(broken, steps=None, resume=True), StopAfter(6))
    assert again.checkpoint.steps == 13
    resumed = go(replace(broken, steps=None, resume=True))
    assert resumed.checkpoint.complete and resumed.checkpoint.steps == 24
    assert equal_weights(straight.checkpoint, resumed.checkpoint)
    assert straight.checkpoint.history[-1]["held_out_db"] == resumed.checkpoint.history[-1]["held_out_db"]
    assert torch.equal(straight.checkpoint.rng["cpu"], resumed.checkpoint.rng["cpu"])
    first, second = (checkpoint.optimizer["state"] for checkpoint in (straight.checkpoint, resumed.checkpoint))
    assert all(torch.equal(first[k][name], second[k][name]) for k in first for name in first[k])


def test_the_seed_decides(small: Make, tmp_path: Path) -> None:
    runs = [go(small(steps=4, seed=seed, run=tmp_path / name)).checkpoint
            for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert equal_weights(runs[0], runs[1])
    assert not equal_weights(runs[0], runs[2])


def test_a_complete_run_can_be_lengthened_but_not_repeated(small: Make) -> None:
    options = small(steps=4)
    go(options)
    with pytest.raises(InvalidValue, match="complete: 4 steps .* larger"):
        go(replace(options, steps=None, resume=True))
    assert go(replace(options, steps=6, resume=True)).checkpoint.steps == 6


def test_a_cache_that_was_deleted_is_made_again(small: Make) -> None:
    options = small(steps=3)
    before = go(options).checkpoint
    shutil.rmtree(options.run / "cache")
    with pytest.raises(NotFound, match="to make it again: .* --resume"):
        next(original_spectrograms(options.run, before))
    after = go(replace(options, steps=None, resume=True)).checkpoint
    assert equal_weights(before, after) and after.steps == 3
    assert len(list(original_spectrograms(options.run, after))) == 6


def test_time_goes_on_where_it_stopped(small: Make) -> None:
    options = small(minutes=0.05)
    first = go(options, StopAfter(5))
    assert first.signal == 2
    second = go(replace(options, minutes=None, resume=True))
    assert second.checkpoint.complete
    assert 3.0 <= second.checkpoint.elapsed_seconds < 3.0 + 2.0
    assert second.checkpoint.steps > first.checkpoint.steps


def test_a_stop_before_there_is_a_model_leaves_no_checkpoint(small: Make) -> None:
    options = small(steps=3)
    with pytest.raises(Stopped):
        stop = StopRequest()
        stop.number = 15
        go(options, stop)
    assert not (options.run / "checkpoint.pt").exists()
    assert go(options).checkpoint.complete  # and the folder can be used


def test_what_a_resumed_run_must_agree_with(small: Make, corpus: Path) -> None:
    options = small(steps=3)
    with pytest.raises(NotFound, match="no run to resume"):
        go(replace(options, resume=True))
    go(options)
    with pytest.raises(InvalidValue, match="--resume goes on with it, --force starts again"):
        go(options)
    with pytest.raises(InvalidValue, match="--n-mels is 32 but this run was begun with 64"):
        go(replace(options, resume=True, steps=5, n_mels=32))
    soundfile.write(corpus / "more.wav", np.sin(np.arange(9000) * 0.3) * 0.2, 16000)
    with pytest.raises(InvalidValue, match=r"not the one this run was begun with: 1 new or changed \(more.wav\)"):
        go(replace(options, resume=True, steps=5))
    (corpus / "more.wav").unlink()
    assert go(replace(options, resume=True, steps=5)).checkpoint.steps == 5
    assert go(replace(options, force=True)).checkpoint.steps == 3


def test_a_folder_that_is_not_a_run_is_not_written_into(small: Make) -> None:
    options = small(steps=3)
    options.run.mkdir()
    (options.run / "diary.txt").write_text("mine")
    with pytest.raises(InvalidValue, match="not a run"):
        go(options)
    assert [path.name for path in options.run.iterdir()] == ["diary.txt"]


def test_few_and_short_recordings_still_train(small: Make, tmp_path: Path) -> None:
    only = tmp_path / "click.wav"
    soundfile.write(only, np.hanning(200) * 0.5, 44100)
    result = go(small(corpus=only, steps=4))
    assert result.held_out_db is None and np.isfinite(result.training_db)
    assert not any(file.held_out for file in result.checkpoint.corpus)
    frames = [spectrogram.shape[2] for _, spectrogram in original_spectrograms(only.parent / "run", result.checkpoint)]
    assert frames == [2]


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(
    small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distill_train.trainer as trainer

    real = trainer.vae_loss
    monkeypatch.setattr(
        trainer, "vae_loss", lambda *a, **k: (loss := real(*a, **k))._replace(total=loss.total * float("nan"))
    )
    options = small(steps=3)
    with pytest.raises(NumericError, match="nan at step 1"):
        go(options)
    assert load_checkpoint(options.run).steps == 0


@pytest.mark.parametrize(("asked", "taken"), [(None, "fp32"), ("fp32", "fp32"), ("bf16", "bf16")])
def test_precision_is_full_unless_asked(small: Make, asked: str | None, taken: str) -> None:
    """Also on processors that multiply bf16: it rounds more than the components leave out."""
    options = small(steps=1) if asked is None else small(steps=1, precision=asked)
    assert go(options).checkpoint.recipe.precision == taken


def test_schedule() -> None:
    recipe = Recipe(learning_rate=1.0, warmup_steps=10, kl_weight=2.0, kl_warmup_steps=4)
    assert learning_rate(recipe, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(recipe, 50, 0.5) == pytest.approx(0.5)
    assert learning_rate(recipe, 50, 1.0) == pytest.approx(0.0)
    assert [kl_weight(recipe, step) for step in (0, 2, 4, 99)] == [0.0, 1.0, 2.0, 2.0]
    assert Budget(steps=10).used(5, 999) == 0.5 and Budget(seconds=10).used(999, 20) == 1.0
    for wrong in ({}, {"steps": 1, "seconds": 1.0}, {"steps": 0}, {"seconds": float("nan")}):
        with pytest.raises(InvalidValue):
            Budget(**wrong)  # type: ignore[arg-type]


def test_advice_comes_when_nothing_improves() -> None:
    falling = [{"seconds": 10.0 * k, "held_out_db": 5.0 - 0.1 * k} for k in range(20)]
    assert stalled(falling) is None
    flat = falling + [{"seconds": 200 + 10.0 * k, "held_out_db": 3.1} for k in range(12)]
    assert "has not improved for" in (stalled(flat) or "")


def test_a_child_begins_with_its_parents_weights_and_units(small: Make, tmp_path: Path) -> None:
    parent = load_checkpoint(go(small(steps=20)).path)
    other = tmp_path / "other"
    other.mkdir()
    for file in sorted(small().corpus.iterdir())[:5]:
        samples, rate = soundfile.read(file)
        soundfile.write(other / file.name, 0.1 * samples[::-1], rate)
    wishes = {"corpus": other, "run": tmp_path / "child", "parent": tmp_path / "run", "seed": 3, "floor_db": None,
              "n_mels": None, "n_fft": None, "sample_rate": None, "size": None}
    child = load_checkpoint(go(small(steps=1, **wishes)).path)
    assert (child.spec, child.stats, child.network) == (parent.spec, parent.stats, parent.network)
    assert child.ancestors == (parent.sha256,) and parent.ancestors == ()
    assert child.seed == 3 and len(child.corpus) == 5
    moved = max(float((child.weights[name] - tensor).abs().max()) for name, tensor in parent.model_weights.items())
    assert 0 < moved < 1e-3  # one step of the warm-up, from where the parent was

    grandchild = load_checkpoint(go(small(steps=1, run=tmp_path / "grandchild", parent=tmp_path / "child")).path)
    assert grandchild.ancestors == (parent.sha256, child.sha256)
    assert load_checkpoint(go(small(steps=2, resume=True, run=tmp_path / "grandchild")).path).ancestors \
        == grandchild.ancestors
