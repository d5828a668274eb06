"""Facts of a model as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.sidecar import Control, Copying, Sidecar


def sidecar_rows(s: Sidecar) -> list[tuple[str, str]]:
    """What a model is and where it came from."""
    return [
        ("model", f"{s.model.name} ({s.model.id}), trained {s.model.created}"),
        ("sound", f"{s.audio.sample_rate_hz} Hz, licence {s.license}"),
        ("corpus", f"{s.corpus.files} files, {s.corpus.seconds:.0f} s"),
        ("spectrogram", f"n_fft {s.stft.n_fft}, hop_length {s.stft.hop_length}, n_mels {s.bands.n_mels}, "
                        f"floor {s.bands.floor_db:g} dB"),
        ("latents", f"{s.latent.dim} dimensions at {s.latent.rate_hz:.1f} Hz, "
                    f"{'corpus stored' if s.file('prior') else 'no corpus stored'}"),
        ("chunks", f"{s.chunking.recommended_chunk} latent frames, receptive field "
                   f"-{s.chunking.receptive_field_left} +{s.chunking.receptive_field_right}, "
                   f"seam {s.chunking.seam.border_db:.0f} dB"),
        ("level", f"RMS {s.loudness.rms_db:.1f} dBFS, peak {s.loudness.peak_db:.1f} dBFS "
                  f"(corpus RMS {s.loudness.corpus_rms_db:.1f})"),
        ("copying", copying(s.copying)),
        ("training", f"{s.provenance.steps} steps in {s.provenance.train_seconds:.0f} s, seed {s.provenance.seed}, "
                     f"distill {s.provenance.distill}"),
        *((f"{e.role}", f"{e.path}, {e.dtype}, {e.bytes / 1e6:.1f} MB" + (
            f", parity {e.parity.max_error:.1e} / SNR {e.parity.snr_db:.0f} dB" if e.parity else ""))
          for e in s.files),
    ]


def copying(found: Copying | None) -> str:
    """How near generated sound is to the recordings, in one line."""
    if found is None:
        return "not measured: the bundle was made before this was a fact of it"
    median = found.generated.median_db
    lie = f"generated patches lie {median:.1f} dB from the nearest recorded patch"
    if found.held_out is None:
        return f"{lie}; nothing was held out to compare"
    if found.ratio is None:
        return f"{lie}, held-out recordings repeat others exactly (0 dB)"
    return (f"generated patches lie {found.ratio:.2f} times as far from the nearest recorded patch as held-out "
            f"recordings do ({median:.1f} and {found.held_out.median_db:.1f} dB)")


def two_columns(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")


def sliders_table(s: Sidecar) -> None:
    """Print the sliders, if there are any."""
    if not s.controls:
        print("no sliders")
        return
    share = s.latent.pca.variance_ratio
    rows = [("#", "slider", "label", "variance", "follows", "from -10 to 10", "nearest at -10", "nearest at 10")]
    rows += [(str(i), c.name, c.label, f"{100 * share[c.component]:.0f} %",
              _follows(c), _change(c), c.low_file, c.high_file) for i, c in enumerate(s.controls, 1)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _change(c: Control) -> str:
    return "" if c.change is None else f"{c.change:+.2g} {c.unit}"


def _follows(c: Control) -> str:
    return "nothing measured" if c.descriptor is None else f"{c.descriptor.replace('_', ' ')}, r {c.correlation:+.2f}"
