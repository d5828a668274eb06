"""How far a model's reconstruction is from a recording, in dB."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .crops import Source
from .network import Decoder, Encoder
from .statistics import Statistics

MAX_LATENT_FRAMES = 2048  # looked at in all: 44 s at 47 Hz
_PIECE = 512  # latent frames decoded at once


def evaluation_set(sources: Sequence[Source], statistics: Statistics, frames_per_latent: int) -> list[Tensor]:
    """What MAX_LATENT_FRAMES stand for, shared evenly between the sources: each [1, 2, n_mels, frames], normalised."""
    share = frames_per_latent * max(1, MAX_LATENT_FRAMES // max(1, len(sources)))
    pieces = []
    for source in sources[:MAX_LATENT_FRAMES]:
        frames = min(source.frames, share) // frames_per_latent * frames_per_latent
        piece = _PIECE * frames_per_latent
        for start in range(0, frames, piece):
            frame_block = statistics.normalise(source.read(start, min(frames, start + piece)))
            pieces.append(torch.from_numpy(frame_block)[None].permute(0, 2, 3, 1))
    return pieces


@torch.no_grad()
def level_error_db(encoder: Encoder, decoder: Decoder, pieces: Sequence[Tensor], statistics: Statistics) -> float:
    """Mean absolute error of channel 0 over all bands and frames, dB, through the posterior mean."""
    device = next(encoder.parameters()).device
    total = 0.0
    count = 0
    for piece in pieces:
        target = piece.to(device)
        mean, _ = encoder(target)
        total += float((decoder(mean)[:, 0] - target[:, 0]).abs().sum())
        count += target[:, 0].numel()
    return total / max(1, count) * statistics.std[0]
