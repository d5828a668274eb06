"""Runs: they learn, they can be stopped and resumed without a trace, and a checkpoint is what it says."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill.errors import INCOMPATIBLE, BundleError, InvalidValue, NotFound, NumericError
from distill.spec import SpectrogramSpec
from distill_train import load_checkpoint, original_spectrograms, session
from distill_train.advice import stalled
from distill_train.checkpoint import Checkpoint
from distill_train.config import Recipe, network_config
from distill_train.loss import Loss, frequency_loss, vae_loss
from distill_train.options import Options
from distill_train.progress import Progress
from distill_train.schedule import Budget, kl_weight, learning_rate
from distill_train.session import Result, train
from distill_train.signals import Stopped, StopRequest
from distill_train.trainer import Trainer

Make = Callable[..., Options]


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


def go(options: Options, stop: StopRequest | None = None) -> Result:
    return train(options, Progress(io.StringIO()), stop or StopRequest())


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
    latest = {name for name in seen[1] if name.startswith("decoder.frequency.")}  # fits any moment
    for name, tensor in seen[1].items():
        assert torch.equal(checkpoint.model_weights[name], checkpoint.ema[name] if name in latest else tensor)
    assert not all(torch.equal(checkpoint.ema[name], tensor) for name, tensor in seen[1].items() if name not in latest)
    assert not all(torch.equal(checkpoint.ema[name], seen[1][name]) for name in latest)
    again = load_checkpoint(small().run)
    assert again.chosen == "best" and torch.equal(again.best["decoder.patch.bias"], seen[1]["decoder.patch.bias"])


def test_loss_falls(small: Make) -> None:
    options = small(steps=5)
    early = go(options).losses
    late = go(replace(options, steps=120, force=True)).losses
    assert late.level < early.level


def equal_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = [(one.weights, other.weights), (one.ema, other.ema), (one.best, other.best),
             (one.model_weights, other.model_weights)]
    return all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)


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


def test_loud_levels_count_more() -> None:
    target = torch.zeros(1, 8, 2, 4)
    target[:, :, 0, [0, 2, 3]] = -4.0  # 80 dB under the second band
    latents = torch.zeros(1, 3, 4)

    def losses(channel: int, band: int) -> Loss:
        output = target.clone()
        output[:, :, channel, band] += 1.0
        return vae_loss(
            output[:, :, 0], target[:, :, 0], latents, latents, frequency_loss(output[:, :, 1], target, 20.0),
            level_std_db=20.0, loud_weight=0.3, kl_weight=1.0,
        )

    first, second = losses(0, 1), losses(0, 2)
    assert first.loud_level > 90 * second.loud_level and first.level == second.level == 0.25
    assert float(first.total) == pytest.approx(0.25 + 0.3 * float(first.loud_level))
    frequency = losses(1, 1)
    assert frequency.level == frequency.loud_level == frequency.divergence == 0
    assert float(frequency.total) == float(frequency.frequency) == 1


def test_frequencies_count_at_peaks_in_tails_and_not_in_silence() -> None:
    frames = torch.zeros(3, 2, 8)
    frames[:, 0] = -4.0
    frames[0, 0, 1:4] = torch.tensor([3.0, 4.0, 3.5])  # a stroke, 20 dB each, and its skirts
    frames[0, 0, 6] = 0.0  # 80 dB under it
    frames[1, 0, 2] = 2.0  # its tail 40 dB below
    frames[2, 0, 2] = -3.9  # next to silence

    def error(frame: int, band: int) -> float:
        read = frames[:, 1].clone()
        read[frame, band] += 1.0
        return float(frequency_loss(read, frames, 20.0))

    assert error(0, 2) == pytest.approx(error(1, 2)) and error(0, 2) > 0.4 > 0.02 > error(2, 2) > 0
    assert error(0, 1) == error(0, 3) == error(1, 3) == 0 and 0 < error(0, 6) < 0.02 * error(0, 2)
    assert float(frequency_loss(torch.ones(3, 8), torch.zeros(3, 2, 8), 20.0)) == 0  # no peaks at all


def test_frequencies_teach_only_what_reads_them() -> None:
    spec = SpectrogramSpec(n_mels=32)

    class Given:
        def __init__(self, frequencies: float) -> None:
            self.batch_ = torch.randn(2, 2, 32, 64, generator=torch.Generator().manual_seed(0))
            self.batch_[:, 1] *= frequencies

        def batch(self, generator: torch.Generator) -> torch.Tensor:
            return self.batch_

    def stepped(frequencies: float, precision: str = "fp32") -> tuple[dict[str, torch.Tensor], Trainer]:
        recipe = Recipe(kl_warmup_steps=0, precision=precision)
        trainer = Trainer(network_config("small", spec), recipe, 0, torch.device("cpu"))
        for _ in range(3):
            trainer.step(Given(frequencies), 0.0, 20.0)  # type: ignore[arg-type]
        return trainer.state().weights, trainer

    (one, trainer), (other, _) = stepped(1.0), stepped(2.0)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == set(trainer.reader()) and len(changed) == 4
    coarse, _ = stepped(1.0, "bf16")  # slopes are read off in full precision all the same
    assert {name for name in one if torch.equal(one[name], coarse[name])} == changed


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
