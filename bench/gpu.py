"""A model on the CPU and on the GPU of this machine: are the sounds the same, bit for bit where that is promised, and
how fast is each?

    python -m bench.gpu MODEL        a bundle's folder, a decoder.onnx or a name; writes a table to standard output

Exit code 5, with one line that says what is missing, where there is no GPU; 6 where the sounds are not the same.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

import distill
from distill.arrays import on_host
from distill.benchmark import medians
from distill.dsp import portable
from distill.tuning import machine

Array = NDArray[np.float32]

_SECONDS = 60.0
_ROUNDS = 5
_SHORT = 10.0  # seconds, where not speed is looked at
_THREADS = 4
_LARGEST_ERROR = 1e-3  # normalised units: what `distill check` allows between machines
_LEAST_SNR_DB = 60.0  # with the same decisions, as the export demands of the runtime against PyTorch


def parity(cpu: distill.Model, gpu: distill.Model, latents: Array) -> dict[str, float]:
    """How far the GPU's spectrogram is off, normalised units, and its samples, dB, each stage by itself."""
    ours, theirs = cpu._decoder.normalised(latents), gpu._decoder.normalised(latents)
    figures = {"spectrogram, max error": float(np.abs(on_host(theirs) - ours).max())}
    sound = cpu.synthesize(latents)
    theirs, ours = (model.encode(sound, model.sample_rate) for model in (gpu, cpu))
    figures["latents of a recording, max error"] = float(np.abs(theirs - ours).max())
    spectrogram = cpu.decode(latents)
    for quality in ("fast", "balanced", "high"):
        expected = distill.synthesize(spectrogram, cpu.spec, quality)
        memory = gpu._engine.memory
        assert memory is not None
        made = portable.synthesize(memory.xp.asarray(spectrogram), gpu.spec, quality, xp=memory.xp)
        figures[f"samples, {quality}, SNR dB"] = snr_db(expected, on_host(made))
    return figures


def differing(gpu: distill.Model) -> dict[str, int]:
    """Samples that differ where all should be the same: (a second call, blocks, threads side by side) by quality."""
    figures = {}
    for quality in ("fast", "balanced", "high"):
        def make(_: int = 0, quality: str = quality) -> Array:
            return gpu.generate(_SHORT, seed=1, quality=quality)

        whole = make()
        figures[f"generate again, {quality}"] = unequal(whole, make())
        if quality != "high":
            blocks = np.concatenate(list(gpu.stream(_SHORT, seed=1, quality=quality, block=1000)))
            figures[f"stream in blocks, {quality}"] = unequal(whole, blocks)
        with ThreadPoolExecutor(_THREADS) as pool:
            figures[f"{_THREADS} threads at once, {quality}"] = sum(
                unequal(whole, each) for each in pool.map(make, range(2 * _THREADS)))
    return figures


def unequal(one: Array, other: Array) -> int:
    return int((one != other).sum()) if one.shape == other.shape else max(one.size, other.size)


def snr_db(reference: Array, other: Array) -> float:
    error = np.square(reference.astype(np.float64) - other).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-30)))


def speed(models: dict[str, distill.Model], latents: Array) -> dict[tuple[str, str], float]:
    """Seconds, by (what, device); the tasks are taken in turns."""
    seconds = latents.shape[1] / models["cpu"].sidecar.latent.rate_hz
    tasks = {}
    for device, model in models.items():
        tasks["decoder alone", device] = partial(lambda model: on_host(model._decoder.normalised(latents)), model)
        for quality in ("fast", "balanced", "high"):
            tasks[f"latents to samples, {quality}", device] = partial(model.synthesize, latents, quality)
        for quality in ("fast", "balanced"):
            tasks[f"generate, {quality}", device] = partial(model.generate, seconds, seed=1, quality=quality)
            tasks[f"first block, {quality}", device] = partial(
                lambda model, quality: next(model.stream(seed=1, quality=quality)), model, quality)
    return medians(tasks, _ROUNDS)


def report(name: str, seconds: float, figures: dict[str, float], differ: dict[str, int],
           times: dict[tuple[str, str], float]) -> str:
    here = machine()
    lines = [f"{name}, {seconds:.0f} s of sound; {here['processor']}, onnxruntime {here['onnxruntime']}", "",
             "| GPU against CPU | |", "|---|---|"]
    lines += [f"| {what} | {value:.0f} |" if "dB" in what else f"| {what} | {value:.1e} |"
              for what, value in figures.items()]
    lines += ["", "| GPU against itself | samples that differ |", "|---|---|"]
    lines += [f"| {what} | {count} |" for what, count in differ.items()]
    lines += ["", "| | CPU, one thread | GPU | times as fast |", "|---|---|---|---|"]
    for what in dict.fromkeys(what for what, _ in times):
        cpu, gpu = times[what, "cpu"], times[what, "cuda"]
        shown = [f"{t * 1e3:.1f} ms" if what.startswith("first") else f"{seconds / t:.0f} times real time"
                 for t in (cpu, gpu)]
        lines.append(f"| {what} | {shown[0]} | {shown[1]} | {cpu / gpu:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print("usage: python -m bench.gpu [MODEL]", file=sys.stderr)
        return 2
    model = arguments[0] if arguments else None
    try:
        models = {device: distill.load(model, device=device) for device in ("cuda", "cpu")}
        cpu, gpu = models["cpu"], models["cuda"]
        latents = cpu_latents(cpu, _SECONDS)
        figures = parity(cpu, gpu, latents[:, :round(_SHORT * cpu.sidecar.latent.rate_hz)])
        differ = differing(gpu)
        print(report(cpu.name, _SECONDS, figures, differ, speed(models, latents)))
    except distill.DistillError as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return error.exit_code
    wrong = figures["spectrogram, max error"] > _LARGEST_ERROR
    if wrong or min(value for what, value in figures.items() if "SNR" in what) < _LEAST_SNR_DB:
        print("bench.gpu: the GPU does not sound like the CPU", file=sys.stderr)
        return distill.NumericError.exit_code
    if any(differ.values()):
        print("bench.gpu: the GPU does not give the same samples every time", file=sys.stderr)
        return distill.NumericError.exit_code
    return 0


def cpu_latents(model: distill.Model, seconds: float) -> Array:
    """Latents of the model's own walk, [latent_dim, latent_frames]."""
    frames = round(seconds * model.spec.frame_rate_hz)
    pieces = list(model.latents(distill.Knobs(seed=1), frames))
    return np.ascontiguousarray(np.concatenate(pieces, axis=1), np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
