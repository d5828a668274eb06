"""The sliders of a model: the corpus's principal axes, each named after what it measurably changes.

An axis is swept as the runtime's slider will move it: EXCERPTS excerpts of the corpus are shifted along it in STEPS
equal steps from -10 to 10, decoded by the runtime, and described. What an excerpt sounds like to begin with is not the
slider's doing, so each sweep's own mean is taken off. Then, with v the slider,

    r  is the correlation of v and the descriptor's mean over the excerpts, p that of so many steps (Student's t);
    s  is the correlation of v and the descriptor over all excerpts at once: how much of what changes is the slider's.

The descriptors with |r| > 0.5, p < 0.05 and a change that can be heard are candidates, the one with the largest |s|
first; among those within 0.1 of it, the most telling (the order of DESCRIPTORS). Excerpts are not what is played, and
neighbouring steps are not independent; so a candidate must be borne out by Trial, in walks through the corpus. The
first that is gives the name, and the slider is turned so that it rises.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from distill import dsp
from distill.knobs import Knobs
from distill.model import Model
from distill.sidecar import Control, Pca
from distill.sliders import LIMIT, Sliders

from .descriptors import DESCRIPTORS, describe
from .encode import EncodedCorpus

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

MOST = 8  # sliders
SMALLEST_SHARE = 0.02  # of the corpus's variance
STEPS = 21  # of a sweep
EXCERPTS = 10  # of the corpus, from places in its louder half, evenly spread
EXCERPT_SECONDS = 0.4
WALKS = 6  # seeds
WALK_SECONDS = 5.0
_MIN_CORRELATION, _MAX_P = 0.5, 0.05
_AUDIBLE = {"octaves": 0.1, "dB": 1.0}  # from one end of a slider to the other
_ABOUT_EQUAL = 0.1  # of |s|
_MAY_DIFFER = 1  # walks


@dataclass(frozen=True)
class Finding:
    """What a slider does to one descriptor: r, p and s as above, and the change from -10 to 10 in its unit."""

    descriptor: str
    correlation: float
    p: float
    strength: float
    change: float


def measure_controls(model: Model, corpus: EncodedCorpus) -> list[Control]:
    """The controls for the sidecar of `model`, most important first."""
    latent = model.sidecar.latent
    plain = plain_controls(latent.pca)
    sliders = Sliders(replace(model.sidecar, controls=plain))
    parts = excerpts(corpus, max(2, round(EXCERPT_SECONDS * latent.rate_hz)))
    trial = Trial(model, sliders)
    named = []
    for which, control in enumerate(plain):
        found = (f for f in candidates(sweep(model, sliders, which, parts)) if trial.bears_out(which, f))
        named.append(named_control(control, next(found, None)))
    places = np.stack([np.median(part.astype(np.float64), axis=1) - latent.mean for part in corpus.latents])
    return [_with_files(control, places @ np.multiply(latent.pca.components[control.component], control.sign),
                        corpus.files) for control in told_apart(named)]


def plain_controls(pca: Pca) -> list[Control]:
    """A slider for each axis worth one, before it is known what it does."""
    return [Control(name=f"pc{i + 1}", label=f"PC{i + 1}", component=i, low=pca.p01[i], mid=pca.p50[i],
                    high=pca.p99[i], sign=1, descriptor=None, correlation=None, p_value=None, change=None, unit=None,
                    low_file="", high_file="")
            for i, share in enumerate(pca.variance_ratio[:MOST])
            if share > SMALLEST_SHARE and pca.p01[i] < pca.p50[i] < pca.p99[i]]


def excerpts(corpus: EncodedCorpus, frames: int) -> list[Array]:
    """Up to EXCERPTS pieces [latent_dim, at most `frames`], each out of one recording."""
    power = np.concatenate(corpus.power)
    loud = np.flatnonzero(power >= np.median(power))
    ends = np.cumsum([part.shape[1] for part in corpus.latents])
    places = []
    for i in range(EXCERPTS):
        middle = int(loud[int((i + 0.5) * len(loud) / EXCERPTS)])
        file = int(np.searchsorted(ends, middle, side="right"))
        length = corpus.latents[file].shape[1]
        start = min(max(0, middle - (int(ends[file]) - length) - frames // 2), max(0, length - frames))
        places.append((file, start))
    return [corpus.latents[file][:, start:start + frames] for file, start in dict.fromkeys(places)]


def sweep(model: Model, sliders: Sliders, which: int, parts: list[Array]) -> dict[str, Floats]:
    """Move a slider through its range -> descriptor: [excerpts, STEPS], NaN where a sound has no such thing."""
    rows: dict[str, list[list[float]]] = {key: [] for key in DESCRIPTORS}
    values = np.zeros((len(sliders.names), STEPS))
    values[which] = positions()
    offsets = sliders.offset(values)  # [latent_dim, STEPS]
    for part in parts:
        sounds = (_sound(model, part + offsets[:, i:i + 1]) for i in range(STEPS))
        described = [describe(sound, model.spec) for sound in sounds]
        for key, row in rows.items():
            row.append([one[key] for one in described])
    return {key: np.array(row) for key, row in rows.items()}


def positions() -> Floats:
    """Where the slider stands, [STEPS]."""
    return np.linspace(-LIMIT, LIMIT, STEPS)


def candidates(swept: dict[str, Floats]) -> list[Finding]:
    """The findings that may name the slider, strongest first."""
    findings = [found for key, rows in swept.items() if (found := judge(key, rows)) is not None]
    named = [f for f in findings if abs(f.correlation) > _MIN_CORRELATION and f.p < _MAX_P
             and abs(f.change) >= _AUDIBLE[DESCRIPTORS[f.descriptor][1]]]
    close = max((abs(f.strength) for f in named), default=0.0) - _ABOUT_EQUAL
    order = list(DESCRIPTORS)
    return sorted(named, key=lambda f: (0, order.index(f.descriptor)) if abs(f.strength) >= close
                  else (1, -abs(f.strength)))


class Trial:
    """Walks through the corpus, played with a slider at -5, 0 and 5.

    Every walk must have more of the descriptor at 5 than at -5 (one chance in 32 for six walks, if the slider did
    nothing), and all but one of them more at 0 than at -5, and more at 5 than at 0.
    """

    def __init__(self, model: Model, sliders: Sliders) -> None:
        frames = round(WALK_SECONDS * model.spec.frame_rate_hz)
        self._model, self._sliders = model, sliders
        self._walks = [np.concatenate(list(model.latents(Knobs(seed=seed), frames)), axis=1) for seed in range(WALKS)]
        self._unmoved = [describe(_sound(model, walk), model.spec) for walk in self._walks]

    def bears_out(self, which: int, found: Finding) -> bool:
        """Whether the walks change as the sweeps did."""
        key, model = found.descriptor, self._model
        values = np.zeros((len(self._sliders.names), 2))
        values[which] = -LIMIT / 2, LIMIT / 2
        offsets = self._sliders.offset(values)
        ends = []
        for walk in self._walks:
            ends.append([describe(_sound(model, walk + offsets[:, i:i + 1]), model.spec, [key])[key] for i in (0, 1)])
            if not (ends[-1][1] - ends[-1][0]) * found.correlation > 0:
                return False
        low, high = np.array(ends).T
        middle = np.array([unmoved[key] for unmoved in self._unmoved])
        return all(np.count_nonzero(part * found.correlation > 0) >= len(part) - _MAY_DIFFER
                   for part in (middle - low, high - middle))


def judge(descriptor: str, rows: Floats) -> Finding | None:
    """rows: [excerpts, STEPS]; None where fewer than three sweeps are complete enough to say anything."""
    rows = rows[np.isfinite(rows).sum(axis=1) > 0.75 * rows.shape[1]]
    if len(rows) < 3:
        return None
    valid = np.isfinite(rows)
    x, y = _centred(np.broadcast_to(positions(), rows.shape), valid), _centred(rows, valid)
    mean = y.sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    slope = float(((x * y).sum(axis=1) / np.square(x).sum(axis=1)).mean())
    r = _correlation(positions(), mean - mean.mean())
    return Finding(descriptor, r, p_value(r, STEPS - 2), _correlation(x, y), slope * 2 * LIMIT)


def _correlation(x: Floats, y: Floats) -> float:
    """Of numbers without their means; 0 where one of them does not change."""
    spread = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / spread if spread > 1e-12 else 0.0


def p_value(correlation: float, degrees: int) -> float:
    """Two-sided, for a correlation with so many degrees of freedom.

    Where there is no correlation, r = sin(a) has a density in a that is proportional to cos(a)^(degrees - 1): Student's
    t with t = sqrt(degrees) tan(a).
    """
    angle = np.arcsin(min(1.0, abs(correlation)))
    tail, half = (np.trapezoid(np.cos(a) ** (degrees - 1), a)
                  for a in (np.linspace(start, np.pi / 2, 4001) for start in (angle, 0.0)))
    return float(tail / half)


def _centred(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Each row [STEPS] without its mean; 0 where it is not valid."""
    mean = np.where(valid, values, 0.0).sum(axis=1, keepdims=True) / valid.sum(axis=1, keepdims=True)
    return np.where(valid, values - mean, 0.0)


def _sound(model: Model, latents: Array) -> Array:
    return dsp.synthesize(np.concatenate(list(model.decoded([latents])), axis=2), model.spec, "fast")


def named_control(plain: Control, found: Finding | None) -> Control:
    """The slider under its name, turned so that what it is named after rises."""
    if found is None:
        return plain
    title, unit = DESCRIPTORS[found.descriptor]
    named = replace(plain, name=title.lower(), label=f"{plain.label} ({title})", descriptor=found.descriptor,
                    correlation=round(abs(found.correlation), 3), p_value=float(f"{found.p:.2g}"),
                    change=float(f"{abs(found.change):.3g}"), unit=unit)
    if found.correlation > 0:
        return named
    return replace(named, sign=-1, low=-plain.high, mid=-plain.mid, high=-plain.low)


def told_apart(controls: list[Control]) -> list[Control]:
    """A second slider of one name becomes `brightness-2`, "PC4 (Brightness 2)"."""
    seen: Counter[str] = Counter()
    result = []
    for control in controls:
        seen[control.name] += 1
        if (number := seen[control.name]) > 1:
            control = replace(control, name=f"{control.name}-{number}", label=f"{control.label[:-1]} {number})")
        result.append(control)
    return result


def _with_files(control: Control, places: Floats, files: list[str]) -> Control:
    """places: [files], where each recording lies along the slider's axis, by its median."""
    low, high = (files[int(np.abs(places - end).argmin())] for end in (control.low, control.high))
    return replace(control, low_file=low, high_file=high)
