"""What `distill-train inspect` says about a corpus, as text and as one object."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .corpus import Corpus, Recording
from .split import MIN_FILES

QUIET_DB = -40.0  # a recording whose peak is under this is worth a word
SHORT_SECONDS = 0.7  # under one training crop at 48 kHz: padded with silence
FEW_SECONDS = 10.0
SPREAD_DB = 40.0  # between the loudest and the quietest peak


def as_object(corpus: Corpus) -> dict[str, Any]:
    """Everything that was found, for `--json`. Levels in dBFS, of the mean of the audio channels."""
    loudest, quietest = _extremes(corpus)
    return {
        "corpus": str(corpus.folder),
        "files": len(corpus.recordings),
        "seconds": corpus.seconds,
        "sample_rates": {str(rate): count for rate, count in sorted(_rates(corpus).items())},
        "peak_db": loudest.peak_db,
        "loudest": loudest.name,
        "quietest": quietest.name,
        "recordings": [
            {
                "name": recording.name, "seconds": recording.seconds, "sample_rate": recording.sample_rate,
                "channels": recording.channels, "peak_db": recording.peak_db, "rms_db": recording.rms_db,
                "sha256": recording.sha256,
            }
            for recording in corpus.recordings
        ],
        "left_out": [{"name": item.name, "reason": item.reason} for item in corpus.left_out],
        "warnings": warnings(corpus),
    }


def as_text(corpus: Corpus) -> str:
    """The same for people."""
    loudest, quietest = _extremes(corpus)
    seconds = sorted(recording.seconds for recording in corpus.recordings)
    rates = ", ".join(f"{rate} Hz ({count})" for rate, count in sorted(_rates(corpus).items()))
    channels = Counter(recording.channels for recording in corpus.recordings)
    lines = [
        f"{corpus.folder}: {len(corpus.recordings)} recordings, {corpus.seconds:.1f} s",
        f"  length    {seconds[0]:.2f} to {seconds[-1]:.2f} s, median {seconds[len(seconds) // 2]:.2f} s",
        f"  rates     {rates}",
        f"  channels  {', '.join(f'{number} ({count})' for number, count in sorted(channels.items()))}",
        f"  loudest   {_level(loudest)}",
        f"  quietest  {_level(quietest)}",
    ]
    if corpus.left_out:
        lines.append(f"left out: {len(corpus.left_out)}")
        lines += [f"  {item.name}: {item.reason}" for item in corpus.left_out]
    lines += [f"warning: {text}" for text in warnings(corpus)]
    return "\n".join(lines)


def warnings(corpus: Corpus) -> list[str]:
    """What to look at before training. Nothing here stops it."""
    found: list[str] = []
    recordings = corpus.recordings

    def name(those: list[Recording], what: str) -> None:
        if those:
            listed = ", ".join(recording.name for recording in those[:3]) + (", …" if len(those) > 3 else "")
            found.append(f"{len(those)} {what}: {listed}")

    name([r for r in recordings if r.truncated], "cut short, only the part that is there is used")
    name([r for r in recordings if r.clipped], "clipped (flat at full scale)")
    name([r for r in recordings if r.peak_db > 0], "over full scale")
    name([r for r in recordings if r.peak_db < QUIET_DB], f"very quiet (peak under {QUIET_DB:.0f} dBFS)")
    name([r for r in recordings if r.cancelled], "with channels that largely cancel out when mixed to mono")
    name([r for r in recordings if r.seconds < SHORT_SECONDS], f"under {SHORT_SECONDS} s, padded with silence")
    loudest, quietest = _extremes(corpus)
    spread = loudest.peak_db - quietest.peak_db
    if spread > SPREAD_DB:
        found.append(f"peaks differ by {spread:.0f} dB, from {quietest.name} to {loudest.name}")
    if len(_rates(corpus)) > 1:
        found.append(f"mixed sample rates ({', '.join(map(str, sorted(_rates(corpus))))} Hz); all are resampled")
    if len(recordings) < MIN_FILES:
        found.append(f"fewer than {MIN_FILES} recordings: none is held out, the error will be that of the training")
    if corpus.seconds < FEW_SECONDS:
        found.append(f"{corpus.seconds:.1f} s in all is very little; the model will do little but repeat it")
    return found


def _extremes(corpus: Corpus) -> tuple[Recording, Recording]:
    ranked = sorted(corpus.recordings, key=lambda recording: recording.peak_db)
    return ranked[-1], ranked[0]


def _rates(corpus: Corpus) -> Counter[int]:
    return Counter(recording.sample_rate for recording in corpus.recordings)


def _level(recording: Recording) -> str:
    return f"peak {recording.peak_db:.1f} dBFS, RMS {recording.rms_db:.1f} dBFS  {recording.name}"
