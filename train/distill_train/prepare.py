"""Everything between the corpus and the first step: facts, spectrograms, statistics, networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from distill.spec import SpectrogramSpec

from . import statistics
from .audio import ORIGINAL
from .checkpoint import Checkpoint
from .config import Recipe, network_config
from .corpus import Corpus, Recording, scan
from .device import choose_device, choose_precision
from .facts import Facts
from .manifest import CorpusFile
from .options import DEFAULT_SIZE, Options
from .pca import patch_starts, start_from_pca
from .plan import check_disk, choose_budget, choose_pitches, choose_spec, make_manifest, match_manifest
from .progress import Progress
from .run_folder import next_budget
from .signals import StopRequest
from .spectrograms import CACHE_FOLDER, CachedSpectrogram, SpectrogramCache, missing
from .statistics import Statistics
from .trainer import Trainer, TrainerState

DEFAULT_SEED = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a session trains with. `training` holds the originals first, then the copies."""

    facts: Facts
    trainer: Trainer
    cache: SpectrogramCache
    recordings: tuple[Recording, ...]  # to train on
    training: tuple[CachedSpectrogram, ...]
    held_out: tuple[CachedSpectrogram, ...]
    left_out: int  # files that could not be used


def prepare(options: Options, previous: Checkpoint | None, progress: Progress, stop: StopRequest) -> Prepared:
    """Begin a run, or take up `previous`. May take seconds to minutes: looks at `stop` after each file."""

    def tick(what: str, done: int, total: int) -> None:
        stop.check()
        progress.status(f"{what} {done}/{total}", done / total)

    device = choose_device(options.device, progress.note)
    budget = choose_budget(options) if previous is None else next_budget(options, previous)
    corpus = scan(options.corpus, options.run, lambda done, total: tick("reading", done, total))
    _report(corpus, progress)

    if previous is None:
        seed = DEFAULT_SEED if options.seed is None else options.seed
        precision = choose_precision(options.precision, device)
        recipe = Recipe(pitches=choose_pitches(options, corpus), precision=precision)
        manifest = make_manifest(corpus, seed)
        recordings = corpus.recordings
        training = [recording for recording, file in zip(recordings, manifest, strict=True) if not file.held_out]
        network_config(options.size or DEFAULT_SIZE, 64)  # a wrong name is said before the work begins
        spec = choose_spec(options, training, progress.note, lambda done, total: tick("levels", done, total))
    else:
        seed, recipe, manifest, spec = previous.seed, previous.recipe, previous.corpus, previous.spec
        recordings = match_manifest(corpus, manifest)
        training = [recording for recording, file in zip(recordings, manifest, strict=True) if not file.held_out]
    progress.note(f"seed: {seed}")

    cache = SpectrogramCache(options.run / CACHE_FOLDER, spec, recipe.crop_frames)
    _analyse(cache, recordings, training, recipe.pitches, tick)
    originals = [cache.source(recording) for recording in training]
    held_out = [cache.source(r) for r, file in zip(recordings, manifest, strict=True) if file.held_out]

    if previous is None:
        stats = statistics.measure(source.array() for source in originals)
        facts = Facts(spec, stats, network_config(options.size or DEFAULT_SIZE, spec.n_mels), recipe, budget, seed, manifest)
        trainer = Trainer(facts.network, recipe, seed, device)
        stop.check()
        explained = _start(trainer, originals, stats)
        progress.note(f"start: {facts.network.latent_dim} principal components explain {explained:.1%} of the corpus")
    else:
        taken = {field.name: getattr(previous, field.name) for field in fields(Facts)}
        facts = replace(Facts(**taken), budget=budget)
        trainer = Trainer(facts.network, recipe, seed, device)
        trainer.restore(TrainerState(**{name: getattr(previous, name) for name in TrainerState._fields}))
    return Prepared(
        facts=facts, trainer=trainer, cache=cache, recordings=tuple(training),
        training=tuple(cache.source(recording, pitch) for pitch in recipe.pitches for recording in training),
        held_out=tuple(held_out), left_out=len(corpus.left_out),
    )


def _analyse(cache, recordings, training, pitches, tick) -> None:  # type: ignore[no-untyped-def]
    wanted = missing(cache, recordings, [ORIGINAL])
    check_disk(cache, wanted + missing(cache, training, [pitch for pitch in pitches if pitch != ORIGINAL]))
    for index, (recording, pitch) in enumerate(wanted):
        cache.build(recording, pitch)
        tick("analysing", index + 1, len(wanted))


def _start(trainer: Trainer, originals: Sequence[CachedSpectrogram], stats: Statistics) -> float:
    """Set the trainer's networks to the principal components; return the share of variance they explain."""
    config = trainer.encoder.config
    per_latent = config.frames_per_latent
    patches = []
    for source, starts in zip(originals, patch_starts([s.frames for s in originals], per_latent), strict=True):
        if len(starts):
            frames = torch.from_numpy(stats.normalise(source.read(0, source.frames)))  # [frames, 2, n_mels]
            patches.append(torch.cat([frames[starts + offset].flatten(1) for offset in range(per_latent)], dim=1))
    encoder, decoder = trainer.encoder.cpu(), trainer.decoder.cpu()
    explained = start_from_pca(encoder, decoder, torch.cat(patches), trainer.recipe.frequency_weight)
    encoder.to(trainer.device)
    decoder.to(trainer.device)
    trainer.average_is_current()
    return explained


def _report(corpus: Corpus, progress: Progress) -> None:
    progress.note(f"corpus: {len(corpus.recordings)} recordings, {corpus.seconds:.1f} s in {corpus.folder}")
    for item in corpus.left_out[:10]:
        if item.reason not in ("not audio", "hidden", "hidden folder"):
            progress.note(f"left out: {item.name}: {item.reason}")
