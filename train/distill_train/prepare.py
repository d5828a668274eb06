"""Everything between the corpus and the first step: facts, spectrograms, statistics, networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch

from . import statistics
from .audio import ORIGINAL
from .checkpoint import Checkpoint
from .config import Recipe, check_size, network_config
from .corpus import Corpus, Recording, scan
from .device import choose_device, choose_precision
from .facts import Facts
from .manifest import CorpusFile
from .options import DEFAULT_SEED, DEFAULT_SIZE, Options
from .pca import patch_starts, start_from_pca
from .plan import check_disk, choose_budget, choose_pitches, make_manifest, match_manifest, wished_spec, with_floor
from .progress import Progress
from .run_folder import next_budget
from .signals import StopRequest
from .spectrograms import CACHE_FOLDER, CachedSpectrogram, SpectrogramCache, missing
from .statistics import Statistics
from .trainer import Trainer, TrainerState

Tick = Callable[[str, int, int], None]  # what, done, total; may raise Stopped


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

    check_size(options.size or DEFAULT_SIZE)
    spec = wished_spec(options) if previous is None else previous.spec
    budget = choose_budget(options) if previous is None else next_budget(options, previous)
    device = choose_device(options.device, progress.note)
    corpus = scan(options.corpus, options.run, lambda done, total: tick("reading", done, total))
    _report(corpus, progress)

    if previous is None:
        seed = DEFAULT_SEED if options.seed is None else options.seed
        recipe = Recipe(
            pitches=choose_pitches(options, corpus), precision=choose_precision(options.precision, device)
        )
        manifest, recordings = make_manifest(corpus, seed), corpus.recordings
        training = _part(recordings, manifest, held_out=False)
        if options.floor_db is None:
            spec = with_floor(spec, training, progress.note, lambda done, total: tick("levels", done, total))
    else:
        seed, recipe, manifest = previous.seed, previous.recipe, previous.corpus
        recordings = match_manifest(corpus, manifest)
        training = _part(recordings, manifest, held_out=False)

    cache = SpectrogramCache(options.run / CACHE_FOLDER, spec, recipe.crop_frames)
    cache.open(discard_others=previous is None)
    _analyse(cache, recordings, training, recipe.pitches, tick)
    originals = [cache.source(recording) for recording in training]

    if previous is None:
        stats = statistics.measure(source.array() for source in originals)
        network = network_config(options.size or DEFAULT_SIZE, spec.n_mels)
        facts = Facts(spec, stats, network, recipe, budget, seed, manifest)
        trainer = Trainer(network, recipe, seed, device)
        stop.check()
        explained = _start(trainer, originals, stats)
        progress.note(f"start: {network.latent_dim} principal components explain {explained:.1%} of the corpus")
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
        facts=facts, trainer=trainer, cache=cache, recordings=tuple(training),
        training=tuple(cache.source(recording, pitch) for pitch in recipe.pitches for recording in training),
        held_out=tuple(cache.source(recording) for recording in _part(recordings, manifest, held_out=True)),
        left_out=len(corpus.left_out),
    )


def _part(recordings: Sequence[Recording], manifest: Sequence[CorpusFile], held_out: bool) -> list[Recording]:
    return [recording for recording, file in zip(recordings, manifest, strict=True) if file.held_out == held_out]


def _analyse(
    cache: SpectrogramCache, recordings: Sequence[Recording], training: Sequence[Recording], pitches: Sequence[str],
    tick: Tick,
) -> None:
    """The originals now; the copies only have to fit on the disk."""
    wanted = missing(cache, recordings, [ORIGINAL])
    check_disk(cache, wanted + missing(cache, training, [pitch for pitch in pitches if pitch != ORIGINAL]))
    for index, (recording, pitch) in enumerate(wanted):
        cache.build(recording, pitch)
        tick("analysing", index + 1, len(wanted))


def _start(trainer: Trainer, originals: Sequence[CachedSpectrogram], stats: Statistics) -> float:
    """Set the trainer's networks to the principal components; return the share of variance they explain."""
    per_latent = trainer.encoder.config.frames_per_latent
    patches = []
    for source, starts in zip(originals, patch_starts([s.frames for s in originals], per_latent), strict=True):
        frames = source.array()
        parts = [stats.normalise(frames[starts + offset]) for offset in range(per_latent)]  # [patches, 2, n_mels] each
        patches.append(torch.cat([torch.from_numpy(part).flatten(1) for part in parts], dim=1))
    encoder, decoder = trainer.encoder.cpu(), trainer.decoder.cpu()
    explained = start_from_pca(encoder, decoder, torch.cat(patches), trainer.recipe.frequency_weight)
    encoder.to(trainer.device)
    decoder.to(trainer.device)
    trainer.average_is_current()
    return explained


def _report(corpus: Corpus, progress: Progress) -> None:
    left_out = f", {len(corpus.left_out)} files left out" if corpus.left_out else ""
    progress.note(f"corpus: {len(corpus.recordings)} recordings, {corpus.seconds:.1f} s in {corpus.folder}{left_out}")
    worth = [item for item in corpus.left_out if item.reason not in ("not audio", "hidden", "hidden folder")]
    for item in worth[:10]:
        progress.note(f"left out: {item.name}: {item.reason}")
    if len(worth) > 10:
        progress.note(f"left out: {len(worth) - 10} more; see: distill-train inspect {corpus.folder}")
