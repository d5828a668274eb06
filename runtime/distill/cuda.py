"""The memory of an NVIDIA card: all that needs one, and nothing else."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .errors import DeviceError, DistillError

Array = Any

# Installing an extra brings onnxruntime back, and its two wheels unpack into one folder: so in this order, whatever
# is there. 1.27 is the first onnxruntime-gpu of CUDA 13, as is the extra's CuPy.
ADVICE = ("run: pip install 'distill-audio[cupy]' && pip uninstall -y onnxruntime onnxruntime-gpu && "
          "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.27'")


class Memory(Protocol):
    """Where a device has its arrays. xp: their library; device_type: onnxruntime's name for the place."""

    xp: Any
    device_type: str
    options: Mapping[str, str]  # of onnxruntime's provider

    def empty(self, shape: tuple[int, ...]) -> Array:
        """A new array of float32, contiguous, of any content."""

    def address(self, array: Array) -> int:
        """Of its first element, for onnxruntime to write to."""

    def wait(self) -> None:
        """Return when nothing that was asked for is still running."""


class Cuda:
    """The first card's memory, in CuPy's arrays. Raises DeviceError where CuPy or the card cannot be had."""

    device_type = "cuda"
    # Full float32 products, as on a CPU, and the same algorithm whenever the shapes are the same.
    options: Mapping[str, str] = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}

    def __init__(self) -> None:
        try:
            import cupy
        except ModuleNotFoundError as error:
            if error.name != "cupy":
                raise DeviceError(f"CuPy cannot be imported ({error}); {ADVICE}") from None
            raise DeviceError(f"CuPy is not installed, which computes on the GPU; {ADVICE}") from None
        except Exception as error:  # a broken wheel can raise anything
            raise DeviceError(f"CuPy cannot be imported ({error}); {ADVICE}") from None
        try:
            cupy.zeros(1) + 1  # compiles a kernel and runs it: driver, card and CUDA's libraries are there
            self.xp = cupy
            self.wait()
        except Exception as error:
            raise DeviceError(f"CuPy cannot use the GPU ({error}); check the driver with nvidia-smi") from None
        preload()

    def empty(self, shape: tuple[int, ...]) -> Array:
        return self.xp.empty(shape, dtype=self.xp.float32)

    def address(self, array: Array) -> int:
        return int(array.data.ptr)

    def wait(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Around what computes on the card: where the card or its memory fails, as any call may find, DeviceError."""
    try:
        yield
    except DistillError:
        raise
    except Exception as error:
        if not isinstance(error, (RuntimeError, MemoryError)) and not type(error).__module__.startswith("cupy."):
            raise  # no failure of the card
        raise DeviceError(f"the GPU failed ({str(error).strip() or type(error).__name__}); "
                          "use --device cpu, or less at a time") from None


def preload() -> None:
    """Let onnxruntime find the CUDA libraries that pip installed; where it cannot, its session will say so."""
    import onnxruntime

    load = getattr(onnxruntime, "preload_dlls", None)  # since 1.21
    if load is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            load()
