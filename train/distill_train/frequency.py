"""The frequencies of a spectrogram, read off its levels.

A partial of a stationary sound is a lobe of the window's transform, and the levels of a band and its neighbours say
where in the band its top lies. (For a Gaussian window exactly: the deviation of the instantaneous frequency is the
slope of the log magnitude along frequency, times a constant.) It is measured from one frame to the next, so the frame
before has its say too. So latents need not carry the frequencies: half of the numbers of a spectrogram, most of them
noise where nothing sounds, and of little use when half known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import KNOTS, LOOKS, REACH
from .loss import frequency_loss

_STEPS, _FRAMES, _RATE = 200, 128, 1e-2  # of `learn`


class FrequencyReader(nn.Module):
    """Levels [B, frames, n_mels] -> frequencies [B, frames, n_mels], both normalised.

    A perceptron on each band's neighbourhood in its frame and the one before; the first frame counts as its own.
    All bands share its matrices. Each has an offset of its own for every feature, but they change slowly along the
    bands, from knot to knot: what is learnt of one note then holds for the next.
    """

    between: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("between", _between(n_mels), persistent=False)
        self.look = nn.Conv1d(2, LOOKS, 2 * REACH + 1, padding=REACH, bias=False)
        self.offset = nn.Parameter(torch.zeros(LOOKS, KNOTS))
        self.say = nn.Conv1d(LOOKS, 1, 1)

    def forward(self, levels: Tensor) -> Tensor:
        before = functional.pad(levels[:, None], (0, 0, 1, 0), mode="replicate")[:, 0, :-1]
        looks = self.look(torch.stack([levels, before], dim=2).flatten(0, 1))
        features = functional.relu(looks + self.offset @ self.between)
        said: Tensor = self.say(features).reshape(levels.shape)
        return said

    def at_once(self, levels: Tensor) -> Tensor:
        """The same in a quarter less time, as windows of two frames over one picture, frames by bands.

        Not what is exported: onnxruntime would rearrange the picture for its convolution, which takes longer.
        """
        picture = functional.pad(levels[:, None], (0, 0, 1, 0), mode="replicate")
        looks = functional.conv2d(picture, self.look.weight.flip(1)[:, None], padding=(0, REACH))
        features = functional.relu(looks + (self.offset @ self.between)[:, None])
        said: Tensor = functional.conv2d(features, self.say.weight[..., None], self.say.bias)[:, 0]
        return said


def _between(bands: int) -> Tensor:
    """[KNOTS, bands]: values at the knots, evenly spread over the bands, times it are the lines between them."""
    place = torch.linspace(0, KNOTS - 1, bands)
    return (1 - (place - torch.arange(KNOTS)[:, None]).abs()).clamp_min(0)


def reading_loss(reader: FrequencyReader, frames: Tensor, level_std_db: float) -> Tensor:
    """`frequency_loss` of what is read off the levels of spectrograms [B, frames >= 2, 2, n_mels].

    The first frames are left out: what was before them is not known. Not for autocast: bf16 rounds levels to 0.3 dB,
    and it is slopes that are read off.
    """
    return frequency_loss(reader.at_once(frames[:, :, 0])[:, 1:], frames[:, 1:], level_std_db)


def learn(reader: FrequencyReader, patches: Tensor, level_std_db: float, generator: torch.Generator) -> None:
    """A second's fit to patches [patches, frames >= 2, 2, n_mels] of frames in a row, in normalised units."""
    batch_size = -(-_FRAMES // (patches.shape[1] - 1))
    optimizer = torch.optim.Adam(reader.parameters(), _RATE)
    for step in range(_STEPS):
        optimizer.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
        batch = patches[torch.randint(len(patches), (batch_size,), generator=generator)]
        loss = reading_loss(reader, batch, level_std_db)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
