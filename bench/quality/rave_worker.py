"""Train RAVE v2 for so long and let it give recordings back. Run by a Python that has acids-rave and torch:

    python rave_worker.py JOB.npz RESULT.npz

JOB holds `seconds` of processor time and `steps` (whichever is used up first ends the training), `sample_rate`, the
training sounds `train_0`, `train_1` ... and the recordings `case_0` ..., float32 [samples]. RESULT gets the `steps` and
`seconds` that training took, and `case_i` and `cpu_i` (seconds of decoding) for each recording. All on one thread.

The networks, the distances and the optimiser are the package's own, with its configuration v2, in the first phase of
its training (no discriminator, which begins at a million steps). Crops and batches are smaller than its default of
eight times 131072 samples: a minute on a CPU would otherwise be over after a handful of steps.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import gin
import numpy as np
import scipy.signal
import torch

scipy.signal.kaiser = scipy.signal.windows.kaiser  # moved there in scipy 1.13

import rave  # noqa: E402
import rave.core  # noqa: E402
import rave.pqmf  # noqa: E402

CROP, BATCH = 32_768, 4  # samples, crops
MANGLED = 0.8  # share of crops whose phase is turned about, as its own data set does
MULTIPLE = 2_048  # samples in a latent frame


def main(job: str, result: str) -> None:
    given = np.load(job)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    np.random.seed(1)  # random_phase_mangle draws from there
    model = build(int(given["sample_rate"]))
    sounds = [given[name] for name in given.files if name.startswith("train_")]
    steps, seconds = train(model, sounds, float(given["seconds"]), float(given["steps"]), int(given["sample_rate"]))
    model.eval()
    found: dict[str, Any] = {"steps": steps, "seconds": seconds}
    give_back(model, np.zeros(MULTIPLE, np.float32))  # fills caches
    for name in given.files:
        if name.startswith("case_"):
            start = time.process_time()
            found[name], decoding = give_back(model, given[name])
            found[name.replace("case", "cpu")] = decoding
            print(f"{name}: {time.process_time() - start:.1f} s", file=sys.stderr, flush=True)
    np.savez(result, **found)


def build(sample_rate: int) -> Any:
    """RAVE v2, with what its pqmf expects of older libraries put in place."""
    order = rave.pqmf.kaiserord  # is handed arrays of one number, which numpy 2 no longer takes for a number
    rave.pqmf.kaiserord = lambda ripple, width: order(ripple, _number(width))
    rave.pqmf.firwin = lambda taps, width, nyq, **rest: scipy.signal.firwin(taps, _number(width), fs=2 * nyq, **rest)
    gin.parse_config_files_and_bindings(["configs/v2.gin"], [f"SAMPLING_RATE = {sample_rate}"])
    return rave.RAVE(n_channels=1)


def train(model: Any, sounds: list[Any], seconds: float, most: float, sample_rate: int) -> tuple[int, float]:
    """Its first phase, for so many seconds of processor time and at most so many steps; how many of both it took."""
    rng = np.random.default_rng(1)
    sounds = [np.pad(sound, (0, max(0, CROP - len(sound)))) for sound in sounds]
    share = np.array([len(sound) for sound in sounds], float)
    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3, (0.5, 0.9))
    began, steps = time.process_time(), 0
    while time.process_time() - began < seconds and steps < most:
        crops = []
        for index in rng.choice(len(sounds), BATCH, p=share / share.sum()):
            start = rng.integers(0, len(sounds[index]) - CROP + 1)
            crop = sounds[index][start : start + CROP]
            if rng.random() < MANGLED:
                crop = rave.core.random_phase_mangle(crop, 20, 2000, 0.99, sample_rate)
            crops.append(np.asarray(crop, np.float32))
        target = torch.from_numpy(np.stack(crops))[:, None]
        encoded, bands = model.encode(target, return_mb=True)
        latents, divergence = model.encoder.reparametrize(encoded)[:2]
        made_bands = model.decoder(latents)
        made = model.pqmf.inverse(made_bands)
        distances = [*model.multiband_audio_distance(bands, made_bands).values(),
                     *model.audio_distance(target, made[..., :CROP]).values()]
        loss = sum(distances) + beta(steps) * divergence
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps += 1
    return steps, time.process_time() - began


def beta(step: int) -> float:
    """Its warm-up of the weight of the divergence: 1e-6 to 5e-2 over 20000 steps, evenly in the logarithm."""
    return float(np.exp(np.interp(step / 20_000, (0, 1), np.log((1e-6, 5e-2)))))


@torch.inference_mode()
def give_back(model: Any, sound: Any) -> tuple[Any, float]:
    """Through the posterior mean; the sound, and the CPU seconds of decoding."""
    padded = np.pad(sound, (0, -len(sound) % MULTIPLE))
    mean = model.encode(torch.from_numpy(padded)[None, None]).chunk(2, 1)[0]
    start = time.process_time()
    made = model.decode(mean)
    cost = time.process_time() - start
    return made[0, 0, : len(sound)].numpy(), cost


def _number(width: Any) -> float:
    return float(width.item() if hasattr(width, "item") else width)


if __name__ == "__main__":
    main(*sys.argv[1:])
