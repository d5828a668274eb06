"""Everything between the corpus and the first step: facts, spectrograms, statistics, networks."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from . import statistics
from .checkpoint import Checkpoint, join_weights
from .config import affordable_latents, check_size, network_config
from .corpus import Corpus, Recording, scan
from .device import choose_device, choose_precision
from .facts import Facts
from .frequency import learn
from .manifest import CorpusFile
from .options import DEFAULT_SIZE, Options
from .parent import heard_by, open_parent
from .pca import RESIDUAL_DB, Components, latent_scale, patch_starts, principal_components, start_from_pca
from .plan import (
    check_disk,
    choose_budget,
    choose_pitches,
    choose_recipe,
    choose_seed,
    make_manifest,
    match_manifest,
    window_is_open,
    wished_spec,
    with_floor,
)
from .progress import Progress, clock
from .report import warnings
from .run_folder import next_budget
from .signals import StopRequest
from .spectrograms import CACHE_FOLDER, CachedSpectrogram, SpectrogramCache, missing
from .statistics import Statistics
from .trainer import Trainer, TrainerState
from .transpose import transposed
from .window import choose_window

Tick = Callable[[str, int, int], None]  # what, done, total; may raise Stopped


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a session trains with. `training` holds the originals first, then the copies."""

    facts: Facts
    trainer: Trainer
    training: tuple[CachedSpectrogram, ...]
    held_out: tuple[CachedSpectrogram, ...]
    left_out: int  # files that could not be used


def prepare(options: Options, previous: Checkpoint | None, progress: Progress, stop: StopRequest) -> Prepared:
    """Begin a run, or take up `previous`. May take seconds to minutes: looks at `stop` after each file."""

    began: dict[str, float] = {}

    def tick(what: str, done: int, total: int) -> None:
        stop.check()
        now = time.monotonic()
        left = (now - began.setdefault(what, now)) / done * (total - done)
        progress.status(f"{what} {done}/{total}, {clock(left)} left", done / total)

    # A wrong wish is answered before the corpus is read, which may take a while.
    check_size(options.size or DEFAULT_SIZE)
    seed = choose_seed(options) if previous is None else previous.seed
    parent = open_parent(options)
    settled = parent if previous is None else previous
    spec = wished_spec(options) if settled is None else settled.spec
    budget = choose_budget(options) if previous is None else next_budget(options, previous)
    device = choose_device(options.device, progress.note)
    corpus = scan(options.corpus, options.run, lambda done, total: tick("reading", done, total))
    _report(corpus, progress)

    if previous is None:
        manifest, recordings = make_manifest(corpus, seed, heard_by(parent)), corpus.recordings
        training = _part(recordings, manifest, held_out=False)
        if parent is None and window_is_open(options):
            choice = choose_window(training, spec.sample_rate)
            spec = wished_spec(options, choice)
            progress.note(f"{choice}; --n-fft overrides")
        if parent is None and options.floor_db is None:
            spec = with_floor(spec, training, progress.note, lambda done, total: tick("levels", done, total))
        network = network_config(options.size or DEFAULT_SIZE, spec) if parent is None else parent.network
        recipe = choose_recipe(
            network.frames_per_latent, choose_pitches(options, corpus), choose_precision(options.precision)
        )
    else:
        recipe, manifest = previous.recipe, previous.corpus
        recordings = match_manifest(corpus, manifest)
        training = _part(recordings, manifest, held_out=False)

    cache = SpectrogramCache(options.run / CACHE_FOLDER, spec, recipe.crop_frames)
    cache.open(discard_others=previous is None)
    originals = [source for recording in training for source in cache.sources(recording)]
    copies = [s for pitch in recipe.pitches[1:] for recording in training for s in cache.sources(recording, pitch)]
    held_out = [s for recording in _part(recordings, manifest, held_out=True) for s in cache.sources(recording)]
    _analyse(originals + held_out, copies, tick)

    if previous is None:
        ancestors: tuple[str, ...] = ()
        if parent is None:
            stats = statistics.measure(source.array() for source in originals)
        else:
            stats, ancestors = parent.stats, (*parent.ancestors, parent.sha256)
        stop.check()
        if parent is None:
            patches = _patches(originals, stats, network.frames_per_latent)
            components = principal_components(transposed(patches[:, :, 0], recipe.pitches, spec))
            latent_frames = sum(source.frames for source in (*originals, *held_out)) // network.frames_per_latent
            most = affordable_latents(network.frames_per_latent, latent_frames)
            fitted = components.fit(network, RESIDUAL_DB / stats.std[0], most)
            left_out = components.left_out(fitted) * stats.std[0]
            enough = left_out < 1.01 * RESIDUAL_DB
            network = network_config(options.size or DEFAULT_SIZE, spec, fitted.parts, enough)
            trainer = Trainer(network, recipe, seed, device)
            stop.check()
            in_a_row = patches if network.frames_per_latent > 1 else _patches(originals, stats, 2)
            scale = _start(trainer, components, in_a_row, stats)
            progress.note(f"start: {network.latent_dim} principal components leave {left_out:.2g} dB of the corpus out")
        else:
            trainer = Trainer(network, recipe, seed, device)
            trainer.begin_with(parent.model_weights)
            progress.note(f"start: the weights of {options.parent}, {parent.steps} steps")
            scale = parent.latent_scale
        facts = Facts(spec, stats, network, recipe, budget, seed, manifest, scale, ancestors)
    else:
        taken = {field.name: getattr(previous, field.name) for field in fields(Facts)}
        facts = replace(Facts(**taken), budget=budget)
        trainer = Trainer(facts.network, recipe, seed, device)
        trainer.restore(TrainerState(**{name: getattr(previous, name) for name in TrainerState._fields}))
    progress.note(
        f"training for {budget} on {len(training)} recordings at {len(recipe.pitches)} pitches, "
        f"{len(recordings) - len(training)} held out, {spec.n_mels} bands at {spec.sample_rate} Hz, seed {seed}"
    )
    return Prepared(
        facts=facts, trainer=trainer, training=(*originals, *copies), held_out=tuple(held_out),
        left_out=len(corpus.left_out),
    )


def _part(recordings: Sequence[Recording], manifest: Sequence[CorpusFile], held_out: bool) -> list[Recording]:
    return [recording for recording, file in zip(recordings, manifest, strict=True) if file.held_out == held_out]


def _analyse(originals: Sequence[CachedSpectrogram], copies: Sequence[CachedSpectrogram], tick: Tick) -> None:
    """The originals now; the copies only have to fit on the disk."""
    wanted = missing(originals)
    check_disk([*wanted, *missing(copies)])
    for index, source in enumerate(wanted):
        source.cache.build(source.piece)
        tick("analysing", index + 1, len(wanted))


def _patches(originals: Sequence[CachedSpectrogram], stats: Statistics, per_latent: int) -> Tensor:
    """Some of every recording, [patches, per_latent, 2, n_mels], normalised."""
    patches = []
    for source, starts in zip(originals, patch_starts([s.frames for s in originals], per_latent), strict=True):
        frames = source.array()
        patches.append(np.stack([stats.normalise(frames[starts + offset]) for offset in range(per_latent)], axis=1))
    return torch.from_numpy(np.concatenate(patches))


def _start(trainer: Trainer, components: Components, patches: Tensor, stats: Statistics) -> tuple[float, ...]:
    """Set the trainer's networks to the components, and teach them to read frequencies; return the latents' scale.

    All of it on the CPU, so that a seed begins the same everywhere.
    """
    encoder, decoder = copy.deepcopy(trainer.encoder).cpu(), copy.deepcopy(trainer.decoder).cpu()
    start_from_pca(encoder, decoder, components)
    learn(decoder.frequency, patches, stats.std[0], trainer.generator)
    scale = latent_scale(decoder)
    trainer.begin_with(join_weights(encoder, decoder))
    return scale


def _report(corpus: Corpus, progress: Progress) -> None:
    left_out = f", {len(corpus.left_out)} files left out" if corpus.left_out else ""
    progress.note(f"corpus: {len(corpus.recordings)} recordings, {corpus.seconds:.1f} s in {corpus.folder}{left_out}")
    worth = [item for item in corpus.left_out if item.reason not in ("not audio", "hidden", "hidden folder")]
    for item in worth[:10]:
        progress.note(f"left out: {item.name}: {item.reason}")
    if len(worth) > 10:
        progress.note(f"left out: {len(worth) - 10} more; see: distill-train inspect {corpus.folder}")
    for text in warnings(corpus):
        progress.note(f"warning: {text}")
