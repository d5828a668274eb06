"""The model card: README.md inside a bundle, for whoever finds the folder."""

from __future__ import annotations

from distill.sidecar import Copying, Sidecar


def model_card(s: Sidecar) -> str:
    """Markdown with what the model is, where it came from and how to play it."""
    parity = next((e.parity for e in s.files if e.parity), None)
    proof = (f"The exported decoder was compared with the trained network: spectrogram within {parity.max_error:.1e} "
             f"(normalised units), samples at {parity.snr_db:.0f} dB SNR." if parity else "")
    return f"""# {s.model.name}

A small generative-audio model (`{s.model.id}`), made with distill {s.provenance.distill} from {s.corpus.files}
recordings,
{s.corpus.seconds:.0f} seconds. It makes sound at {s.audio.sample_rate_hz} Hz and needs no PyTorch:

    distill generate . -o out.wav

{proof}
{_copying(s.copying)}

Licence of the sound: {s.license}. Every fact of the model is in `decoder.onnx.json`; `distill check .` proves on your
machine that the files are whole and sound as they did when they were exported.
"""


def _copying(found: Copying | None) -> str:
    if found is None:
        return ""
    made = found.generated.median_db
    text = (f"Patches of what it makes at its defaults lie {made:.1f} dB from the nearest patch of a recording\n"
            "(log-mel, median)")
    if found.held_out is None:
        return f"{text}; no recording was held out to compare with."
    held_out = found.held_out.median_db
    return f"{text}, those of held-out recordings {held_out:.1f} dB from the nearest that was trained on."
