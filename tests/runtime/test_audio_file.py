"""Files appear whole or not at all, hold what they should, and are the same bytes for the same samples."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.audio_file import FileSink
from distill.audio_stream import StreamSink
from distill.errors import FileError, InvalidValue, NumericError
from distill.quantizer import Quantizer

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


@pytest.mark.parametrize(("name", "error"), [("a.wav", 1e-6), ("a.flac", 1e-6), ("a.aiff", 1e-6), ("a.ogg", 0.1),
                                             ("a.mp3", 0.2)])
def test_two_channels(tmp_path: Path, name: str, error: float) -> None:
    both = np.stack([TONE, -0.5 * TONE])
    with FileSink(tmp_path / name, 48_000, 2, None, samples=len(TONE), seed=1) as sink:
        sink.write(both[:, :77])
        sink.write(both[:, 77:])
    audio, _ = soundfile.read(tmp_path / name, dtype="float32")
    assert audio.shape == (len(TONE), 2) and np.abs(audio.T - both).max() <= error
    stream = io.BytesIO()
    with StreamSink(stream, 48_000, 2, "24", raw=False, seed=1, samples=len(TONE)) as out:
        out.write(both)
    assert np.abs(soundfile.read(io.BytesIO(stream.getvalue()))[0].T - both).max() < 1e-6


def test_the_cut_of_the_calls_does_not_matter(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32) * 0.1
    whole = Quantizer("16", 1)(noise.T)
    quantizer = Quantizer("16", 1)
    assert np.array_equal(np.concatenate([quantizer(noise.T[i:i + 7]) for i in range(0, 5000, 7)]), whole)


def test_float_files_have_no_date(tmp_path: Path) -> None:
    for name in ("a.wav", "a.aiff"):
        told = {"title": "a title", "comment": "with a PEAK in it " * 300}
        write(tmp_path / name, depth="float", **told)
        data = (tmp_path / name).read_bytes()
        assert b"PEAK" in data
        while time.time() % 1 < 0.99:  # a second later the date would be another
            time.sleep(0.005)
        time.sleep(0.02)
        write(tmp_path / name, depth="float", force=True, **told)
        assert (tmp_path / name).read_bytes() == data


@pytest.mark.parametrize("depth", ["16", "24"])
@pytest.mark.parametrize(("channels", "samples"), [(1, 4800), (1, 4801), (2, 4801), (1, 1)])
@pytest.mark.parametrize(("title", "comment"), [("", ""), ("odd", ""), ("even", "a comment"), ("\u00fc", "x" * 3001)])
def test_wav_is_what_libsndfile_writes(tmp_path: Path, depth: str, channels: int, samples: int, title: str,
                                       comment: str) -> None:
    audio = np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32) * 0.5
    with FileSink(tmp_path / "a.wav", 44_100, channels, depth, samples=samples, seed=3,  # type: ignore[arg-type]
                  title=title, comment=comment) as sink:
        sink.write(audio[:, :1001])
        sink.write(audio[:, 1001:])
    with soundfile.SoundFile(tmp_path / "b.wav", "w", 44_100, channels, f"PCM_{depth}") as file:
        for field, text in (("title", title), ("comment", comment)):
            if text:
                setattr(file, field, text)
        file.write(Quantizer(depth, 3)(audio.T))  # type: ignore[arg-type]
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_beyond_4_gib(tmp_path: Path) -> None:
    """What would be too long for WAV is RF64, what would be too long for AIFF is refused."""
    for samples, depth, kind in ((1_400_000_000, "24", "WAV"), (1_500_000_000, "24", "RF64"),
                                 (2_000_000_000, "16", "WAV"), (1_100_000_000, "float", "RF64")):
        path = tmp_path / f"{samples}.wav"
        with FileSink(path, 48_000, 1, depth, samples=samples, seed=1) as sink:  # type: ignore[arg-type]
            sink.write(TONE)
        assert soundfile.info(path).format == kind and soundfile.info(path).frames == len(TONE)
    with pytest.raises(InvalidValue, match="4 GiB"):
        FileSink(tmp_path / "a.aiff", 48_000, 2, "24", samples=1_000_000_000, seed=1)


@pytest.mark.parametrize(("name", "rate"), [("a.mp3", 96_000), ("a.mp3", 6_000), ("a.ogg", 250_000),
                                            ("a.flac", 192_001)])
def test_rates_that_a_format_does_not_have(tmp_path: Path, name: str, rate: int) -> None:
    with pytest.raises(InvalidValue, match=str(rate)):
        FileSink(tmp_path / name, rate, 1, None, samples=10, seed=1)


@pytest.mark.parametrize(("name", "rate"), [("a.mp3", 11_025), ("a.ogg", 200_000), ("a.flac", 192_000),
                                            ("a.flac", 47_999), ("a.wav", 384_000)])
def test_rates_that_it_has(tmp_path: Path, name: str, rate: int) -> None:
    with FileSink(tmp_path / name, rate, 1, None, samples=len(TONE), seed=1) as sink:
        sink.write(TONE)
    assert soundfile.info(tmp_path / name).samplerate == rate


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.wav", 48_000, 1, None, samples=10, seed=1)
    with pytest.raises(FileError, match="--force"), sink:
        sink.write(TONE)
        (tmp_path / "a.wav").write_bytes(b"theirs")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.wav"] and (tmp_path / "a.wav").read_bytes() == b"theirs"


def test_links_names_and_rights(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real" / "b.wav")
    for force in (False, True):
        write(tmp_path / "link.wav", force=force)
        assert (tmp_path / "link.wav").is_symlink() and soundfile.info(tmp_path / "real" / "b.wav").frames == len(TONE)
    long = tmp_path / ("\u00e9" * 120 + ".wav")  # 244 bytes: no room for a longer name beside it
    write(long)
    mask = os.umask(0o027)
    try:
        write(tmp_path / "c.wav")
    finally:
        os.umask(mask)
    assert long.exists() and (tmp_path / "c.wav").stat().st_mode & 0o777 == 0o640
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(FileError, match="no ordinary file"):
        write(tmp_path / "pipe.wav", force=True)


def test_samples_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    for depth in ("16", "24", "float"):
        with pytest.raises(NumericError, match="not finite"):
            write(tmp_path / "a.wav", np.array([0.1, np.nan], np.float32), depth)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_disk_that_is_full(tmp_path: Path, name: str) -> None:
    """A limit on the size of files fails writes as a full disk does."""
    program = f"""
import numpy, resource
from distill.audio_file import FileSink
from distill.errors import FileError
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    with FileSink({str(tmp_path / name)!r}, 48_000, 1, None, samples=1, seed=1) as sink:
        for _ in range(10):
            sink.write(numpy.random.default_rng(0).standard_normal(48_000).astype("float32") * 0.1)
except FileError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "cannot be written" in result.stdout and result.stderr == "" and list(tmp_path.iterdir()) == []


def test_a_stream_that_takes_no_more() -> None:
    stream = io.BytesIO()
    stream.close()
    sink = StreamSink(stream, 48_000, 1, "float", raw=True, seed=1)
    with pytest.raises(FileError, match="standard output"), sink:
        sink.write(TONE)
