"""Speed, side by side: `make bench-speed`, or python -m bench.speed.run BUNDLE. Writes docs/speed.md and speed.png.

One thread. All tasks of a table are taken in turns, round after round, and the median of the rounds counts, so what
else the machine does falls on all alike: trust the ratios. What is compared is checked to agree first. What was wanted
of the runtime stands beside what was measured.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch start their own threads

import platform  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
import scipy.signal  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import distill  # noqa: E402
from distill import dsp  # noqa: E402
from distill.dsp.stft import istft, stft  # noqa: E402
from distill.model import Model  # noqa: E402
from distill.tuning import processor  # noqa: E402

from . import decoders  # noqa: E402
from .common import ROUNDS, clock, goal, medians, some_latents  # noqa: E402
from .processes import commands  # noqa: E402
from .pushes import small_pushes  # noqa: E402

_VOCOS = "Vocos 44.1 kHz: backbone in onnxruntime, torch.istft"
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10.0
BLOCK = 512


def main(bundle: Path) -> None:
    torch.set_num_threads(1)
    models = {v: distill.load(bundle, device="cpu", variant=v) for v in distill.load(bundle).sidecar.variants}
    model = models["fp32"]
    goals: list[str] = []
    parts = [_whole_path(models, bundle, goals), _istft(goals), _latency(models, goals), _floor(model),
             small_pushes(model, goals), commands(bundle, goals), _plot(model)]
    text = "\n".join([_heading(model), "\n".join(_GOALS + goals) + "\n", *parts]) + "\n"
    (ROOT / "docs" / "speed.md").write_text(text)
    print(text)


_GOALS = ["## What was wanted\n", "| what | measured | wanted | |", "|---|---|---|---|"]


def _heading(model: Model) -> str:
    s = model.sidecar
    return f"""# Speed

Written by `make bench-speed` on {processor()}, one thread, Python {platform.python_version()}, numpy {np.__version__},
onnxruntime {ort.__version__}, torch {torch.__version__}. The model has {s.bands.n_mels} bands and {s.latent.dim} latent
dimensions at {s.latent.rate_hz:.1f} Hz, and sounds at {s.audio.sample_rate_hz} Hz. Tasks of one table
were taken in turns and the median of {ROUNDS} rounds counts. Times are processor time, since other programs ran on this
machine too; they still share its caches and memory, so ratios within a table mean more than absolute figures.
`distill bench` measures your own machine.
"""


def _whole_path(models: dict[Any, Model], bundle: Path, goals: list[str]) -> str:
    """Latents to samples, ours in each variant and quality, against the decoders of others."""
    model = models["fp32"]
    latents = some_latents(model, SECONDS)
    tasks: dict[str, Callable[[], object]] = {}
    for variant, other in models.items():
        for quality in ("fast", "balanced"):
            tasks[f"distill, {variant}, {quality}"] = partial(other.synthesize, latents, quality)
        tasks[f"distill, {variant}, decoder alone"] = partial(other.decode, latents)
    rates: dict[str, float] = {}
    tasks["distill's decoder in PyTorch, eager, alone"] = decoders.eager(bundle, model, latents)
    tasks["RAVE v2 decoder, onnxruntime"], rates["RAVE v2 decoder, onnxruntime"] = decoders.rave(SECONDS)
    tasks[_VOCOS], rates[_VOCOS] = decoders.vocos(SECONDS)
    times = medians(tasks, ROUNDS)
    base = times["distill, fp32, balanced"] / SECONDS
    for quality, wanted in (("fast", 10), ("balanced", 5)):
        best = min(times[f"distill, {variant}, {quality}"] for variant in models) / SECONDS
        for peer, factor in (("RAVE v2 decoder, onnxruntime", wanted), (_VOCOS, 1)):
            goals.append(goal(f"`{quality}`, best variant, against {peer.partition(',')[0].partition(':')[0]}",
                               times[peer] / rates[peer] / best, factor, "times as fast", least=True))
    lines = ["## Latents to samples\n", "Times real time: seconds of sound made in a second. Ratio: speed relative to "
             "fp32, balanced.\n", "| what | times real time | ratio |", "|---|---|---|"]
    for name, spent in times.items():
        seconds = rates.get(name, SECONDS)
        lines.append(f"| {name} | {seconds / spent:.0f} | {base * seconds / spent:.2f} |")
    lines.append("""
RAVE v2 is its `GeneratorV2` with the numbers of its v2 configuration and the inverse PQMF; Vocos its backbone of 8
layers at dim 512 and its ISTFT head. Both have random weights, which cost the same, and both graphs were checked
against their PyTorch modules. They do other work (RAVE has a waveform decoder, Vocos starts from a mel spectrogram):
the table says what a second of sound costs, not what it sounds like.

"Decoder alone" is the decoder as the runtime uses it: in chunks of the grid, each with its context (a tenth more work
here), checked and in dB. Eager PyTorch decodes everything in one piece and stops at normalised units. The decoder is
a third of the whole path at `fast` and a fifth at `balanced`, so a faster one (int8) changes
the sum little on this processor.
""")
    return "\n".join(lines)


def _istft(goals: list[str]) -> str:
    """The same frames through four inverse transforms, which must agree."""
    spec = distill.SpectrogramSpec()
    whole = spec.samples(spec.frames(round(SECONDS * spec.sample_rate)))  # samples, whole hops of them
    sound = np.random.default_rng(0).standard_normal(whole).astype(np.float32) * 0.1
    spectrum = stft(sound, spec)
    n_fft, hop, length = spec.n_fft, spec.hop_length, spec.samples(spectrum.shape[1])
    hann = scipy.signal.get_window("hann", n_fft).astype(np.float32)
    # ours has the phase at the frame's centre and |X| = 1 for a full-scale sine; the others know neither
    plain = np.ascontiguousarray(spectrum * (n_fft / 4) * np.where(np.arange(spec.n_bins) % 2, -1, 1)[:, None]
                                 ).astype(np.complex64)
    tensor, window = torch.from_numpy(plain), torch.from_numpy(hann)
    scaled = plain / hann.sum()  # scipy's scaling
    tasks: dict[str, Callable[[], Any]] = {
        "distill": lambda: istft(spectrum, spec),
        "torch.istft": lambda: torch.istft(tensor, n_fft, hop, n_fft, window, length=length).numpy(),
        "librosa.istft": lambda: librosa.istft(plain, hop_length=hop, window=hann, length=length),
        "scipy.signal.istft": lambda: scipy.signal.istft(scaled, window=hann, nperseg=n_fft, noverlap=n_fft - hop)[1]}
    truth = sound[:length]
    errors = {}
    for name, task in tasks.items():
        errors[name] = float(np.abs(task()[:length] - truth).max())
        if errors[name] > 1e-5:
            raise SystemExit(f"{name} does not give the sound back: off by {errors[name]:.1e}")
    times = medians(tasks, ROUNDS)
    goals += [goal(f"ISTFT against {name}", times[name] / times["distill"], 2, "times as fast", least=True)
              for name in ("torch.istft", "librosa.istft")]
    lines = [f"## ISTFT\n\n{SECONDS:.0f} s of noise, n_fft {n_fft}, hop {hop}; each gives the sound back.\n",
             "| what | ms | ratio | error |", "|---|---|---|---|"]
    lines += [f"| {name} | {spent * 1e3:.1f} | {spent / times['distill']:.2f} | {errors[name]:.0e} |"
              for name, spent in times.items()]
    return "\n".join(lines) + "\n"


def _latency(models: dict[Any, Model], goals: list[str]) -> str:
    """The first block on a loaded model; the cost of every later one; the delay that is built in."""
    model = models["fp32"]
    lines = ["## Latency\n", f"A block is {BLOCK} samples, {BLOCK / model.sample_rate * 1e3:.1f} ms of sound. First "
             "block: from the call to its samples, on a loaded\nmodel. Delay: how far the sound lags behind its "
             "latents, because phase looks ahead. Times real time: over\nall blocks.\n",
             "| variant, quality | first block, ms | a block, ms: median | 99th percentile | largest | times real time "
             "| delay, ms |", "|---|---|---|---|---|---|---|"]
    worst = 0.0
    for variant, other in models.items():
        for quality in ("fast", "balanced"):
            first = sorted(_first(other, quality) for _ in range(ROUNDS))[ROUNDS // 2] * 1e3
            costs = _blocks(other, quality, 1500) * 1e3
            delay = dsp.Synthesizer(other.spec, quality).latency_frames * other.spec.hop_length / other.sample_rate
            factor = BLOCK / other.sample_rate * 1e3 / costs.mean()
            worst = max(worst, first)
            lines.append(f"| {variant}, {quality} | {first:.1f} | {np.median(costs):.3f} | "
                         f"{np.percentile(costs, 99):.2f} | {costs.max():.1f} | {factor:.0f} | {delay * 1e3:.0f} |")
    goals.append(goal("first block of a stream, the slowest", worst, 60, "ms"))
    lines.append(f"""
Sound is made in bursts: {model.sidecar.chunking.recommended_chunk} latent frames are decoded at once and 64
spectrogram frames become samples at once, so most blocks only wait to be handed out, and the largest cost is that of a
block which has both done. A player needs a buffer of that length, not more.
""")
    return "\n".join(lines)


def _first(model: Model, quality: Any) -> float:
    started = clock()
    next(model.stream(seed=1, quality=quality, block=BLOCK))
    return clock() - started


def _blocks(model: Model, quality: Any, count: int) -> NDArray[np.float64]:
    """Seconds that each block after the first took."""
    stream, costs = model.stream(seed=1, quality=quality, block=BLOCK), []
    next(stream)
    for _ in range(count):
        started = clock()
        next(stream)
        costs.append(clock() - started)
    return np.array(costs)


def _floor(model: Model) -> str:
    """What the arithmetic alone would take on this machine: products at the rate of a large one, and bare FFTs."""
    rng, spec = np.random.default_rng(0), model.spec
    a, b = (rng.standard_normal((512, 512)).astype(np.float32) for _ in range(2))
    rows = rng.standard_normal((64, spec.n_fft)).astype(np.float32)
    spectrum = np.empty((64, spec.n_bins), np.complex64)
    latents = some_latents(model, SECONDS)
    decoded = model.decode(latents)
    times = medians({
        "gemm": lambda: a @ b, "rfft": lambda: np.fft.rfft(rows, axis=1, out=spectrum),
        "irfft": lambda: np.fft.irfft(spectrum, spec.n_fft, axis=1, out=rows),
        "decoder": lambda: model.decode(latents),
        **{q: partial(dsp.synthesize, decoded, spec, q) for q in ("fast", "balanced")}}, 3 * ROUNDS)
    rate = 512 ** 3 / times["gemm"]
    seconds = latents.shape[1] / model.sidecar.latent.rate_hz
    macs = _macs(model) * latents.shape[1] / seconds
    frames = spec.frame_rate_hz / 64
    pair = (times["rfft"] + times["irfft"]) * frames * 1e3
    decoder_floor, fast_floor = macs / rate * 1e3, times["irfft"] * frames * 1e3
    rows_out = [("decoder", decoder_floor, times["decoder"] / seconds * 1e3),
                ("phase and ISTFT, fast: 1 FFT a frame", fast_floor, times["fast"] / seconds * 1e3),
                ("phase and ISTFT, balanced: 5 FFTs a frame", fast_floor + 2 * pair,
                 times["balanced"] / seconds * 1e3)]
    lines = ["## How near the floor\n", f"""The floor is arithmetic alone: {macs / 1e6:.0f} million multiply-adds a
second of sound, at the {rate / 1e9:.0f} thousand million a second that a 512 x 512 product reaches here, and the
transforms at the speed of bare ones in blocks of 64. Exponentials, sines and the phase itself are not in it, which is
most of `fast`.
""",
             "| part | floor, ms a second | measured | times the floor |", "|---|---|---|---|"]
    lines += [f"| {name} | {floor:.2f} | {spent:.2f} | {spent / floor:.1f} |" for name, floor, spent in rows_out]
    return "\n".join(lines) + "\n"


def _macs(model: Model) -> float:
    """Multiply-adds of one latent frame: about as many as there are weights in the graph.

    The few that read the frequencies off are used for every band and frame, which is made up for by what is only added.
    """
    entry = model.sidecar.file("decoder")
    assert entry is not None
    return entry.bytes / 4


def _plot(model: Model) -> str:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lengths, chunks = (0.25, 0.5, 1, 2, 5, 10, 30), (8, 16, 32, 64, 128, 256)
    by_length = medians({(q, s): partial(model.generate, s, seed=1, quality=q) for s in lengths
                         for q in ("fast", "balanced")}, 5)
    latents = some_latents(model, SECONDS)
    by_chunk = medians({c: partial(model.decode, latents, c) for c in chunks}, 5)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for quality in ("fast", "balanced"):
        left.plot(lengths, [by_length[quality, s] / s * 1e3 for s in lengths], "o-", label=quality)
    left.set(xscale="log", xlabel="length of the sound, s", ylabel="ms a second of sound", ylim=(0, None),
             title="generate, fp32, one thread")
    left.legend()
    right.plot(chunks, [by_chunk[c] / SECONDS * 1e3 for c in chunks], "o-", color="C2")
    right.axvline(model.sidecar.chunking.recommended_chunk, color="grey", linestyle=":", label="the grid")
    right.set(xscale="log", xlabel="chunk, latent frames", ylabel="ms a second of sound", ylim=(0, None),
              title="decoder alone")
    right.legend()
    for axes, ticks in ((left, lengths), (right, chunks)):
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "speed.png", dpi=110)
    return "## Length and chunk\n\n![Cost against length and against chunk](speed.png)\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
