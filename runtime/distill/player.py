"""Sound from the loudspeaker, by PortAudio; the extra [play]."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError, MissingExtra

Array = NDArray[np.float32]

_AT_ONCE = 0.05  # seconds handed over in one call, in which nothing else is noticed


class PlayerSink:
    """The default output of this machine; `write` returns when there is room for more, so sound is made as it plays.

    underflows: how often nothing was there to play. Raises MissingExtra without sounddevice, DeviceError where there
    is no output or it does not take this rate.
    """

    clipped = 0  # the converter's business

    def __init__(self, sample_rate: int, channels: int) -> None:
        try:
            import sounddevice
        except ImportError:
            raise MissingExtra("sounddevice", "play") from None
        except OSError as error:  # its wheel for Linux comes without PortAudio
            raise DeviceError(f"there is no PortAudio library here ({error}); on Debian and Ubuntu: "
                              "apt install libportaudio2") from None
        self._failure: type[Exception] = sounddevice.PortAudioError
        self._step = max(1, round(_AT_ONCE * sample_rate))
        self.underflows = 0
        try:
            self._stream: Any = sounddevice.OutputStream(samplerate=sample_rate, channels=channels, dtype="float32")
        except (self._failure, ValueError) as error:
            raise DeviceError(f"cannot play {channels} channels at {sample_rate} Hz: {error}") from None

    def __enter__(self) -> PlayerSink:
        self._do("start")
        return self

    def write(self, audio: Array) -> None:
        """The next samples, [samples] or [channels, samples], full scale +-1."""
        rows = np.ascontiguousarray(np.atleast_2d(audio).T)
        for start in range(0, len(rows), self._step):
            self.underflows += bool(self._do("write", rows[start:start + self._step]))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._do("stop" if kind is None else "abort")  # stop plays what waits, abort is silent at once
        except DeviceError:
            if kind is None:
                raise
        finally:
            self._stream.close()

    def _do(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._stream, name)(*arguments)
        except self._failure as error:
            raise DeviceError(f"playing failed: {error}") from None
