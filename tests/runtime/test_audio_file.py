"""Files appear whole or not at all, hold what they should, and are the same bytes for the same samples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.audio_file import FileSink, Quantizer, StreamSink
from distill.errors import FileError, InvalidValue

TONE = (0.5 * np.sin(np.arange(9600) * 0.05)).astype(np.float32)


def write(path: Path, audio: np.ndarray = TONE, depth: str | None = None, **options: object) -> FileSink:
    sink = FileSink(path, 48_000, 1, depth, samples=len(audio), seed=1, **options)  # type: ignore[arg-type]
    with sink:
        sink.write(audio[:1000])
        sink.write(audio[1000:])
    return sink


@pytest.mark.parametrize(("name", "depth", "subtype", "error"), [
    ("a.wav", None, "PCM_24", 1e-6), ("a.wav", "16", "PCM_16", 6e-5), ("a.wav", "24", "PCM_24", 1e-6),
    ("a.wav", "float", "FLOAT", 0), ("a.flac", None, "PCM_24", 1e-6), ("a.flac", "16", "PCM_16", 6e-5),
    ("a.aiff", "24", "PCM_24", 1e-6), ("a.ogg", None, "VORBIS", 0.1), ("a.mp3", None, "MPEG_LAYER_III", 0.2),
])
def test_formats(tmp_path: Path, name: str, depth: str | None, subtype: str, error: float) -> None:
    write(tmp_path / name, depth=depth)
    facts = soundfile.info(tmp_path / name)
    assert (facts.samplerate, facts.channels, facts.subtype) == (48_000, 1, subtype)
    audio, _ = soundfile.read(tmp_path / name, dtype="float32")
    if name.endswith("mp3"):
        assert abs(len(audio) - len(TONE)) < 3000
    else:
        assert len(audio) == len(TONE) and np.abs(audio - TONE).max() <= error
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("depth", ["16", "24"])
def test_same_samples_same_bytes(tmp_path: Path, name: str, depth: str) -> None:
    write(tmp_path / name, depth=depth)
    first = (tmp_path / name).read_bytes()
    write(tmp_path / name, depth=depth, force=True)
    assert (tmp_path / name).read_bytes() == first


def test_an_error_leaves_nothing_and_the_old_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    sink = FileSink(tmp_path / "a.wav", 48_000, 1, None, samples=10, seed=1, force=True)
    with pytest.raises(KeyboardInterrupt), sink:
        sink.write(TONE)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [tmp_path / "a.wav"] and (tmp_path / "a.wav").read_bytes() == b"old"


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    with pytest.raises(FileError, match="--force"):
        write(tmp_path / "a.wav")
    with pytest.raises(FileError, match="folder"):
        write(_folder(tmp_path / "b.wav"))
    with pytest.raises(FileError, match="cannot be written"):
        write(tmp_path / "no such folder" / "a.wav")
    with pytest.raises(InvalidValue, match="suffix"):
        write(tmp_path / "a.xyz")
    with pytest.raises(InvalidValue, match="FLAC"):
        write(tmp_path / "a.flac", depth="float")
    with pytest.raises(InvalidValue, match="--bit-depth"):
        write(tmp_path / "c.ogg", depth="16")
    assert (tmp_path / "a.wav").read_bytes() == b"old"


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_clipping_is_counted_and_does_not_wrap() -> None:
    for depth in ("16", "24"):
        quantizer = Quantizer(depth, 0)
        whole = quantizer(np.array([2.0, -2.0, 0.5], np.float32))
        assert quantizer.clipped == 2 and whole[0] > 0 > whole[1]


def test_dither_removes_distortion() -> None:
    """A tone of a third of a step vanishes when rounded; with dither it is there, in noise."""
    tone = (np.sin(np.arange(200_000) * 0.1) / 3 / (1 << 15)).astype(np.float32)
    whole = Quantizer("16", 0)(tone).astype(np.float64) / (1 << 15)
    assert np.dot(whole, tone) / np.dot(tone, tone) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("depth", ["16", "24", "float"])
def test_stream_is_a_readable_wav(depth: str) -> None:
    stream = io.BytesIO()
    with StreamSink(stream, 44_100, 1, depth, raw=False, seed=1) as sink:  # type: ignore[arg-type]
        sink.write(TONE)
    data = stream.getvalue()
    width = {"16": 2, "24": 3, "float": 4}[depth]
    assert len(data) == 44 + width * len(TONE)
    audio, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == 44_100 and len(audio) == len(TONE) and np.abs(audio - TONE).max() < 1e-4


def test_raw_is_bare_samples() -> None:
    stream = io.BytesIO()
    with StreamSink(stream, 48_000, 1, "float", raw=True, seed=1) as sink:
        sink.write(TONE)
    assert np.array_equal(np.frombuffer(stream.getvalue(), "<f4"), TONE)
    with pytest.raises(InvalidValue, match="24"):
        StreamSink(stream, 48_000, 1, "24", raw=True, seed=1)
