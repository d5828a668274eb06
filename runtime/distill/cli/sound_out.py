"""Where sound goes: files, standard output, the loudspeaker. What every command that makes sound shares."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from distill.errors import FileError, InvalidValue

from .door import reader_left
from .progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_MOST_FILES, _MOST_JOBS = 10_000, 256


class Sound(Struct, frozen=True):
    """A sound to be made. pieces: [samples] or [channels, samples] at `sample_rate` Hz, made as they are taken."""

    pieces: Iterator[Array]
    sample_rate: int
    channels: int
    seed: int | None  # None: nothing in it is drawn
    seconds: float | None  # None: endless
    loop: bool = False  # its end meets its beginning
    title: str = ""
    comment: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)  # more that is worth telling
    prepare: Callable[[Callable[[float], None]], None] | None = None  # half of the work, done before the first piece


class SoundOut(Struct, frozen=True):
    """The options, as they were given. Raises InvalidValue for those that do not go together."""

    output: str | None
    play: bool = False
    sample_rate: int | None = None
    bit_depth: Any = None
    raw: bool = False
    force: bool = False
    count: int = 1
    jobs: int = 1
    endless: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        to_stdout, to_file = self.output == "-", self.output not in (None, "-")
        if self.output is None and not self.play:
            raise InvalidValue("nowhere to put the sound; give -o FILE, -o - for standard output, or --play")
        if self.endless and to_file:
            raise InvalidValue("--endless needs -o - or --play; a file must have an end")
        if self.raw and not to_stdout:
            raise InvalidValue("--raw needs -o -; for a file choose its format by the suffix")
        if to_stdout and self.as_json:
            raise InvalidValue("-o - puts sound on standard output, so --json has no place there")
        if not 1 <= self.count <= _MOST_FILES:
            raise InvalidValue(f"count is {self.count}; it must be from 1 to {_MOST_FILES}")
        if not 1 <= self.jobs <= _MOST_JOBS:
            raise InvalidValue(f"jobs is {self.jobs}; it must be from 1 to {_MOST_JOBS}")
        if self.count > 1 and (not to_file or self.play):
            raise InvalidValue("--count needs files; -o - and --play are one stream")
        if self.bit_depth not in (None, "16", "24", "float"):
            raise InvalidValue(f"bit depth is {self.bit_depth!r}; it must be 16, 24 or float")
        if self.bit_depth is not None and self.output is None:
            raise InvalidValue("--bit-depth is for files and standard output; --play has none")
        if self.sample_rate is not None and not 4_000 <= self.sample_rate <= 384_000:
            raise InvalidValue(f"sample rate is {self.sample_rate}; it must be from 4000 to 384000 Hz")

    @property
    def to_file(self) -> bool:
        return self.output not in (None, "-")

    @property
    def file_depth(self) -> Any:
        """Bits of a sample in the file, as `--bit-depth` says them; None where the format has no such thing."""
        from distill.audio_file import FORMATS

        kind = FORMATS.get(Path(self.output or "").suffix.lower())
        return None if kind is None or kind.lossy is not None else self.bit_depth or "24"

    def write(self, sound: Callable[[int], Sound]) -> list[dict[str, Any]]:
        """Make `count` sounds, `jobs` at a time; `sound(0)`, `sound(1)`, ... begin them. Returns what is worth telling.

        A sound is the same whatever is made beside it. When one fails, or at a signal, the others are given up too:
        what is finished stays, what is begun goes.
        """
        first = sound(0)
        work = 1 if first.prepare is None else 2
        progress = Progress(None if first.seconds is None else first.seconds * self.count * work)
        stop = threading.Event()

        def make(index: int) -> dict[str, Any]:
            return self._write(first if index == 0 else sound(index), index, progress, stop)

        try:
            if min(self.jobs, self.count) == 1:
                return [make(index) for index in range(self.count)]
            return _side_by_side(make, self.count, self.jobs, stop)
        finally:
            progress.close()

    def _write(self, sound: Sound, index: int, progress: Progress, stop: threading.Event) -> dict[str, Any]:
        rate = self.sample_rate or sound.sample_rate
        samples = None if sound.seconds is None else max(1, round(sound.seconds * rate))
        path = self.output if self.output is None or self.count == 1 else numbered(self.output, index + 1)
        sinks = self._sinks(sound, path, rate, samples)
        pieces = _at_rate(sound, rate, samples)
        meter, started = Meter(rate, self.as_json), time.perf_counter()
        if sound.seed is not None:
            progress.note(f"seed {sound.seed}")
        try:
            with ExitStack() as stack:
                for sink in sinks:
                    stack.enter_context(sink)
                if sound.prepare is not None:
                    sound.prepare(progress.add)
                for piece in meter.watch(pieces):
                    if stop.is_set():
                        raise _Stopped
                    for sink in sinks:
                        sink.write(piece)
                    progress.add(piece.shape[-1] / rate)
        except BrokenPipeError:
            reader_left()
        spent = time.perf_counter() - started
        clipped = sum(sink.clipped for sink in sinks)
        if clipped:
            progress.note(f"warning: {path}: {clipped} samples were beyond full scale and are clipped; "
                          "--bit-depth float keeps them")
        late = sum(getattr(sink, "underflows", 0) for sink in sinks)
        if late:
            progress.note(f"warning: this machine was too slow {late} times, and there was a gap; --quality fast is "
                          "faster")
        seed = {} if sound.seed is None else {"seed": sound.seed}
        return {"path": path, **seed, "samples": meter.samples, "seconds": meter.samples / rate,
                "sample_rate": rate, "channels": sound.channels, **meter.levels, "clipped": clipped,
                "real_time_factor": round(meter.samples / rate / max(spent, 1e-9), 1), **sound.facts}

    def _sinks(self, sound: Sound, path: str | None, rate: int, samples: int | None) -> list[Any]:
        sinks: list[Any] = []
        if path == "-":
            from distill.audio_stream import StreamSink

            if sys.stdout is None:
                raise FileError("standard output is closed")
            if sys.stdout.isatty():
                raise FileError("-o - would write sound to the terminal; pipe it into a player or a file")
            sinks.append(StreamSink(sys.stdout.buffer, rate, sound.channels, self.bit_depth or "float", raw=self.raw,
                                    seed=sound.seed or 0, samples=samples))
        elif path is not None:
            from distill.audio_file import FileSink

            sinks.append(FileSink(path, rate, sound.channels, self.bit_depth, samples=samples or 0,
                                  seed=sound.seed or 0, force=self.force, title=sound.title, comment=sound.comment))
        if self.play:
            from distill.player import PlayerSink

            sinks.append(PlayerSink(rate, sound.channels))
        return sinks


class Meter:
    """Peak and power of what passes through; loudness too, if wanted."""

    def __init__(self, sample_rate: int, loudness: bool = False) -> None:
        self.samples, self._peak, self._energy = 0, 0.0, 0.0
        self._values = 0
        self._loudness: Any = None
        if loudness:
            from distill.loudness import Meter as LoudnessMeter

            self._loudness = LoudnessMeter(sample_rate)

    def watch(self, pieces: Iterable[Array]) -> Iterator[Array]:
        import numpy as np

        for piece in pieces:
            if piece.size:
                self.samples += piece.shape[-1]
                self._values += piece.size
                self._peak = max(self._peak, float(np.abs(piece).max()))
                self._energy += float(np.vdot(piece, piece))
                if self._loudness is not None:
                    self._loudness.push(piece)
            yield piece

    @property
    def levels(self) -> dict[str, float | None]:
        """dBFS; `lufs` only where loudness was wanted, None for silence."""
        rms = (self._energy / max(1, self._values)) ** 0.5
        levels: dict[str, float | None] = {"peak_db": _db(self._peak), "rms_db": _db(rms)}
        if self._loudness is not None:
            lufs = self._loudness.lufs
            levels["lufs"] = round(lufs, 2) if math.isfinite(lufs) else None
        return levels


class _Stopped(Exception):
    """Another sound failed; this one is given up."""


def _side_by_side(make: Callable[[int], dict[str, Any]], count: int, jobs: int,
                  stop: threading.Event) -> list[dict[str, Any]]:
    """Threads: numpy and onnxruntime leave the interpreter free while they compute, and the model is loaded once."""
    from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

    with ThreadPoolExecutor(min(jobs, count)) as pool:
        futures: list[Future[dict[str, Any]]] = [pool.submit(make, index) for index in range(count)]
        try:
            waiting = set(futures)
            while waiting:  # by turns, since a wait without an end does not notice Ctrl-C on Windows
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                failed = [future for future in futures if future in done and future.exception()]
                if failed:
                    raise failed[0].exception() or AssertionError
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _at_rate(sound: Sound, rate: int, samples: int | None) -> Iterator[Array]:
    if rate == sound.sample_rate:
        return sound.pieces
    if sound.loop and samples is not None:  # it is short, and its end cannot be resampled without its beginning
        import numpy as np

        from distill.loop import loop_at_rate

        return iter([loop_at_rate(np.concatenate(list(sound.pieces), axis=-1), samples)])
    from distill.resample import resampled

    return resampled(sound.pieces, sound.sample_rate, rate, samples)


def numbered(output: str, number: int) -> str:
    """out.wav, 2 -> out-2.wav"""
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


def _db(amplitude: float) -> float:
    return round(20 * math.log10(max(amplitude, 1e-10)), 2)
