"""Export the decoders of other projects to ONNX, with random weights: only their cost is compared, not their sound.

Runs in a virtual environment of its own (`make bench-speed` makes it): their pinned packages would not go together
with ours. Nothing of theirs is part of distill.

    RAVE v2   GeneratorV2 with the numbers of configs/v2.gin (16 bands, capacity 96, ratios 4 4 4 2, latent 128,
              kernel 3, amplitude modulation) and the inverse PQMF; 44.1 kHz, 2048 samples a latent frame
    Vocos     VocosBackbone of 8 layers, dim 512, and the linear layer of its ISTFT head; 44.1 kHz, n_fft 2048,
              hop 512, 128 mels. Its ISTFT is not in the graph: the benchmark does it outside, as Vocos does
"""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

DILATIONS = [[1, 3, 9], [1, 3, 9], [1, 3, 9], [1, 3]]


def rave_v2() -> nn.Module:
    import scipy.signal

    scipy.signal.kaiser = scipy.signal.windows.kaiser  # moved there in scipy 1.13
    import cached_conv
    import rave.blocks
    import rave.pqmf

    order = rave.pqmf.kaiserord  # is handed arrays of one number, which numpy 2.4 no longer takes for a number
    rave.pqmf.kaiserord = lambda ripple, width: order(ripple, float(width.item() if hasattr(width, "item") else width))
    rave.pqmf.firwin = lambda taps, width, nyq, **rest: scipy.signal.firwin(
        taps, float(width.item() if hasattr(width, "item") else width), fs=2 * nyq, **rest)  # so named since scipy 1.12
    cached_conv.use_cached_conv(False)
    rave.blocks.normalization = lambda module, mode="identity": module  # weight norm folded in: it costs nothing then

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = rave.blocks.GeneratorV2(
                data_size=16, capacity=96, ratios=[4, 4, 4, 2], latent_size=128, kernel_size=3, dilations=DILATIONS,
                amplitude_modulation=True)
            self.pqmf = rave.pqmf.PQMF(attenuation=100, n_band=16)

        def forward(self, latents: Tensor) -> Tensor:
            """[1, 128, frames] -> [1, 1, 2048 * frames]"""
            audio: Tensor = self.pqmf.inverse(self.generator(latents))
            return audio

    return Decoder()


def vocos() -> nn.Module:
    # its feature extractors ask for packages that the decoder does not use
    for name, members in (("huggingface_hub", ["hf_hub_download"]), ("encodec", ["EncodecModel"])):
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, None)
        sys.modules[name] = module
    import vocos.heads
    import vocos.models

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = vocos.models.VocosBackbone(input_channels=128, dim=512, intermediate_dim=1536, num_layers=8)
            self.head = vocos.heads.ISTFTHead(dim=512, n_fft=2048, hop_length=512).out

        def forward(self, features: Tensor) -> Tensor:
            """[1, 128, frames] -> [1, 2050, frames]: log magnitude and phase"""
            result: Tensor = self.head(self.backbone(features)).transpose(1, 2)
            return result

    return Decoder()


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for name, make in (("rave_v2", rave_v2), ("vocos", vocos)):
        module = make().eval()
        example = torch.randn(1, 128, 24)
        steps = torch.export.Dim("steps", min=2, max=4096)
        program = torch.onnx.export(module, (example,), dynamo=True, external_data=False, verbose=False,
                                    input_names=["x"], output_names=["y"], dynamic_shapes=({2: steps},))
        assert program is not None
        path = folder / f"{name}.onnx"
        path.write_bytes(program.model_proto.SerializeToString())
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path))
        longer = torch.randn(1, 128, 50)
        with torch.inference_mode():
            error = float((torch.from_numpy(session.run(None, {"x": longer.numpy()})[0]) - module(longer)).abs().max())
        if error > 1e-3:
            raise SystemExit(f"{name}: the exported graph differs from the module by {error:.1e}")
        count = sum(p.numel() for p in module.parameters())
        print(f"{path}: {count / 1e6:.1f} M parameters, differs from PyTorch by {error:.0e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
