"""Recordings in: read whole and sane or refused, encoded in pieces, kept as latents, played by a model."""

from __future__ import annotations

import json
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

import distill
from distill.errors import DistillError, FileError, InvalidValue, NotFound
from distill.latent_file import Metadata, read_latents, write_latents
from distill.limiter import CEILING_DB
from distill.loudness import integrated_lufs
from distill.recording import Recording

Run = Callable[..., "CompletedProcess[str]"]
RATE = 16_000
RNG = np.random.default_rng(2)


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


def notes(seconds: float = 3.0, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    """Struck tones, as the tiny corpus has them, half a second apart."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    for index in range(round(2 * seconds)):
        since = np.maximum(0, time - 0.5 * index)
        frequency = (220, 330, 277, 523, 415, 659)[index % 6]
        sound += np.sin(2 * np.pi * frequency * since) * np.exp(-6 * since) * (since > 0)
    return (level * sound).astype(np.float32)


def db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-20))


# --- recordings


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24"),
                                               ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III"), ("a.aiff", "PCM_16")])
def test_recordings_are_read_in_blocks(tmp_path: Path, name: str, subtype: str) -> None:
    both = np.stack([notes(6), -notes(6)])
    soundfile.write(tmp_path / name, both.T, RATE, subtype)
    recording = Recording(tmp_path / name)
    blocks = list(recording)
    assert (recording.sample_rate, recording.channels, recording.samples) == (RATE, 2, 6 * RATE) and len(blocks) > 1
    assert np.abs(np.concatenate(blocks, axis=1) - both).max() < 0.1
    assert max(np.abs(block).max() for block in recording.mono()) < 0.05


def spoilt(folder: Path, kind: str) -> Path:
    """A file that must be refused."""
    path = folder / f"{kind}.wav"
    soundfile.write(path, notes(1), RATE, "FLOAT")
    data = path.read_bytes()
    if kind == "cut":
        path.write_bytes(data[:-30_000])
    elif kind == "cut-flac":
        path = path.with_suffix(".flac")
        soundfile.write(path, notes(1) + 1e-3 * RNG.standard_normal(RATE), RATE)
        path.write_bytes(path.read_bytes()[:-6_000])
    elif kind == "nan":
        soundfile.write(path, np.where(np.arange(RATE) == 99, np.nan, notes(1)), RATE, "FLOAT")
    elif kind == "text":
        path.write_text("no sound at all")
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "empty":
        soundfile.write(path, np.empty(0), RATE)
    elif kind == "many":
        soundfile.write(path, np.zeros((10, 9)), RATE)
    elif kind == "slow":
        soundfile.write(path, np.zeros(10), 500)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "missing":
        path.unlink()
    return path


@pytest.mark.parametrize(("kind", "error", "words"), [
    ("cut", FileError, "cut short"), ("cut-flac", FileError, "flac"), ("nan", FileError, "not finite"),
    ("text", FileError, "not a sound file"), ("nothing", FileError, "not a sound file"),
    ("empty", FileError, "holds no sound"), ("many", InvalidValue, "9 channels"), ("slow", InvalidValue, "500 Hz"),
    ("folder", FileError, "not a file"), ("missing", NotFound, "no such file"),
])
def test_what_is_no_whole_recording_is_refused(
        tmp_path: Path, kind: str, error: type[DistillError], words: str) -> None:
    with pytest.raises(error, match=words):
        list(Recording(spoilt(tmp_path, kind)))


def test_a_streamed_wav_is_not_cut_short(tmp_path: Path) -> None:
    """A header that says "until it ends", as pipes have it."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((notes(1) * 32767).astype("<i2").tobytes())
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert sum(block.shape[1] for block in Recording(tmp_path / "a.wav")) == RATE


# --- latents


@pytest.mark.parametrize("seconds", [0.0001, 0.1, 4.0, 9.5])
def test_pieces_of_any_size_give_the_same_latents(model: distill.Model, seconds: float) -> None:
    sound = notes(10)[:round(seconds * RATE)] + 1e-3 * RNG.standard_normal(round(seconds * RATE)).astype(np.float32)
    whole = model.encode(sound, RATE)
    assert whole.shape[1] == -(-model.spec.frames(len(sound)) // 2)
    for size in (1000, 33_333):
        cut = [sound[i:i + size] for i in range(0, len(sound), size)]
        assert np.array_equal(np.concatenate(list(model.encoded(cut)), axis=1), whole)
    spectrogram = model._decoder.normalise(distill.analyze(sound, model.spec))
    padded = np.pad(spectrogram, ((0, 0), (0, 0), (0, -spectrogram.shape[2] % 2)), mode="edge")
    np.testing.assert_allclose(whole, model._encoder.run(padded[None])[0], atol=1e-3)  # in one piece


META = Metadata(schema="distill.latents", schema_version="1.0.0", model="tiny", model_id="0" * 16, rate_hz=62.5,
                sample_rate_hz=RATE, samples=16_000, source="a.wav")


def test_latents_come_back_from_their_file(tmp_path: Path) -> None:
    latents = RNG.standard_normal((8, 63)).astype(np.float32)
    write_latents(tmp_path / "a.npz", latents, META)
    again, metadata = read_latents(tmp_path / "a.npz")
    assert np.array_equal(again, latents) and again.dtype == np.float32 and metadata == META
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == ["latents", "metadata"]
    data = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(FileError, match="--force"):
        write_latents(tmp_path / "a.npz", latents, META)
    write_latents(tmp_path / "a.npz", latents, META, force=True)
    assert (tmp_path / "a.npz").read_bytes() == data and list(tmp_path.iterdir()) == [tmp_path / "a.npz"]
    for path, error in ((tmp_path / "a.txt", InvalidValue), (tmp_path / "no" / "a.npz", FileError)):
        with pytest.raises(error):
            write_latents(path, latents, META)


def test_files_that_hold_no_latents_are_refused(tmp_path: Path) -> None:
    good = {"latents": np.zeros((8, 4), np.float32), "metadata": np.array(json.dumps(
        {name: getattr(META, name) for name in META.__struct_fields__}))}
    facts = json.loads(str(good["metadata"]))
    path = tmp_path / "a.npz"
    bad: list[tuple[dict[str, object], str]] = [
        ({"latents": good["latents"]}, "metadata"), ({**good, "more": np.zeros(1)}, "more"),
        ({**good, "latents": np.zeros((8, 4))}, "float64"),
        ({**good, "latents": np.zeros((8, 0), np.float32)}, "shape"),
        ({**good, "latents": np.full((8, 4), np.nan, np.float32)}, "finite"),
        ({**good, "latents": np.array([object()])}, "pickle"),
        ({**good, "metadata": np.zeros(3)}, "text"), ({**good, "metadata": np.array("{")}, "JSON"),
        ({**good, "metadata": np.array(json.dumps({**facts, "hop": 1}))}, "hop"),
        ({**good, "metadata": np.array(json.dumps({**facts, "schema_version": "2.0.0"}))}, "schema_version"),
        ({**good, "metadata": np.array(json.dumps({**facts, "rate_hz": -1}))}, "rate_hz"),
    ]
    for arrays, words in bad:
        np.savez(path, **arrays)  # type: ignore[arg-type]
        with pytest.raises(FileError, match=words):
            read_latents(path)
    path.write_bytes(b"no zip")
    with pytest.raises(FileError, match="holds no latents"):
        read_latents(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("latents.npy", b"\x93NUMPY nonsense")
        archive.writestr("metadata.npy", b"")
    with pytest.raises(FileError, match="holds no latents"):
        read_latents(path)
    with pytest.raises(NotFound):
        read_latents(tmp_path / "none.npz")


# --- resynthesis


@pytest.mark.parametrize(("rate", "quality"), [(RATE, "fast"), (44_100, "balanced"), (8_000, "high")])
def test_resynthesis_is_as_long_and_as_loud(model: distill.Model, rate: int, quality: str) -> None:
    sound = notes(2.3, rate)
    for given in (sound, np.stack([sound, 0.25 * sound[::-1]])):
        out = model.resynthesize(given, rate, quality)  # type: ignore[arg-type]
        assert out.shape == (*given.shape[:-1], round(len(sound) * RATE / rate)) and out.dtype == np.float32
        assert integrated_lufs(out, RATE) == pytest.approx(integrated_lufs(given, rate), abs=0.3)
        assert np.abs(out).max() <= 10 ** (CEILING_DB / 20)


def test_resynthesis_follows_the_envelope(model: distill.Model) -> None:
    sound = notes(4, level=0.02)  # far softer than the corpus
    sound[20_000:28_000] = 0
    out = model.resynthesize(sound, RATE)
    own = model.resynthesize(sound, RATE, loudness="model")
    inside, step = slice(21_500, 26_500), RATE // 20
    assert db(out[inside]) < db(sound) - 40  # silence stays silence

    def levels(audio: np.ndarray) -> np.ndarray:
        return 10 * np.log10(np.square(audio[:len(audio) // step * step]).reshape(-1, step).mean(axis=1) + 1e-12)

    heard = levels(sound) > levels(sound).max() - 35
    apart, before = (np.abs(levels(audio) - levels(sound))[heard] for audio in (out, own))
    assert np.median(apart) < 1.5 and np.median(apart) < np.median(before)


def test_channels_go_through_the_model_by_themselves(model: distill.Model) -> None:
    left, right = notes(2), notes(2)[::-1].copy()
    both = model.resynthesize(np.stack([left, right]), RATE, loudness="model")
    for line, channel in zip((left, right), both, strict=True):
        assert np.array_equal(model.resynthesize(line, RATE, loudness="model"), channel)
    assert np.abs(model.resynthesize(np.zeros(5000), RATE)).max() == 0
    assert model.resynthesize(np.zeros(1), RATE).shape == (1,)


@pytest.mark.parametrize(("audio", "error"), [
    (np.zeros((2, 2, 2)), InvalidValue), (np.full(100, np.nan), distill.NumericError),
    (np.zeros((0, 5)), InvalidValue),
])
def test_bad_samples_are_refused(model: distill.Model, audio: np.ndarray, error: type[DistillError]) -> None:
    for call in (model.encode, model.resynthesize):
        with pytest.raises(error):
            call(audio, RATE)
        with pytest.raises(InvalidValue, match="sample_rate"):
            call(np.zeros(10), 10)
    with pytest.raises(InvalidValue, match="loudness"):
        model.resynthesize(np.zeros(10), RATE, loudness="loud")  # type: ignore[arg-type]


# --- anchors


def test_every_mode_begins_with_the_recording(model: distill.Model) -> None:
    latents = model.encode(notes(2), RATE)
    mine = model.anchored(latents, "door.wav")
    assert mine.prior is not None and model.prior is not None
    assert mine.prior.total == model.prior.total + latents.shape[1] and mine.about["anchor"] == "input: door.wav"
    walked = np.concatenate(list(mine.latents(distill.Knobs(wander=0.0, jumps=0.0), 240)), axis=1)
    assert np.array_equal(walked[:, :120], latents[:, :120])
    knobs = distill.Knobs(mode="interpolate", wander=0.0)
    first = np.concatenate(list(mine.latents(knobs, 20)), axis=1)[:, 0]
    assert np.abs(latents - first[:, None]).max(axis=0).min() < 1e-4
    still = np.concatenate(list(mine.latents(distill.Knobs(mode="vector", evolution=0.0), 20)), axis=1)
    assert np.abs(latents - still[:, :1]).max(axis=0).min() < 1e-6
    faded = np.concatenate(list(mine.latents(distill.Knobs(mode="crossfade", wander=0.0), 100)), axis=1)
    assert np.array_equal(faded[:, :40], latents[:, :40])
    assert not np.array_equal(mine.generate(1, seed=1), model.generate(1, seed=1))
    chosen = distill.Knobs(wander=0.0, jumps=0.0, near=model.prior.files[0])
    assert np.array_equal(next(iter(mine.latents(chosen, 20))), next(iter(model.latents(chosen, 20))))
    for bad in (latents[:, :0], latents[:-1]):
        with pytest.raises(InvalidValue):
            model.anchored(bad)


def test_a_model_without_a_corpus_can_begin_there_too(tiny: Path, model: distill.Model) -> None:
    alone = distill.load(tiny / "decoder.onnx")
    alone.__dict__["prior"] = None
    mine = alone.anchored(model.encode(notes(2), RATE))
    for mode in ("walk", "crossfade", "interpolate", "vector"):
        assert np.isfinite(mine.generate(1, mode=mode)).all()


# --- commands


def message(result: CompletedProcess[str], code: int) -> str:
    lines = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    assert result.returncode == code and len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]


def test_encode_then_generate_is_resynth(run: Run, tiny: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.flac", np.stack([notes(1.5, 44_100)] * 2).T, 44_100)
    facts = json.loads(run("distill", "encode", tiny, tmp_path / "in.flac", "-o", tmp_path / "z.npz", "--json").stdout)
    assert facts["latent_dim"] == 8 and facts["samples"] == 24_000 and facts["source"] == "in.flac"
    assert run("distill", "generate", tiny, "--latents", tmp_path / "z.npz", "-o", tmp_path / "a.wav", "--seed", 1,
               "--no-loudness").returncode == 0
    result = run("distill", "resynth", tiny, tmp_path / "in.flac", "-o", tmp_path / "b.wav", "--no-loudness", "--json")
    made = json.loads(result.stdout)["files"][0]
    assert made["samples"] == 24_000 and made["channels"] == 2 and "seed" not in made and result.stderr == ""
    a, b = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in "ab")
    assert len(a) == 24_000 and np.array_equal(b[:, 0], b[:, 1])
    np.testing.assert_allclose(a[100:-400], b[100:-400, 0], atol=2e-6)  # apart from the fades


def test_resynth_at_another_rate_down_a_pipe(run: Run, tiny: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", notes(1.0, 22_050), 22_050)
    data = run("distill", "resynth", tiny, tmp_path / "in.wav", "-o", "-", "--raw", "--sample-rate", 48_000,
               text=False).stdout
    sound = np.frombuffer(data, "<f4")
    assert len(sound) == 48_000
    assert integrated_lufs(sound, 48_000) == pytest.approx(integrated_lufs(notes(1.0, 22_050), 22_050), abs=0.3)


def test_generate_from_audio(run: Run, tiny: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", notes(1.0), RATE)
    words = ("distill", "generate", tiny, "--seconds", 1, "--seed", 3, "-o")
    assert run(*words, tmp_path / "a.wav", "--from-audio", tmp_path / "in.wav", "--json").returncode == 0
    assert run(*words, tmp_path / "b.wav").returncode == 0
    assert not np.array_equal(*(soundfile.read(tmp_path / f"{name}.wav")[0] for name in "ab"))
    assert "made again" in message(run("distill", "again", tmp_path / "a.wav", "-o", tmp_path / "c.wav"), 2)
    assert run("distill", "blend", f"{tiny}=1", "--seconds", 1, "-o", tmp_path / "d.wav", "--from-audio",
               tmp_path / "in.wav").returncode == 0


def test_refusals(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    cut = spoilt(tmp_path, "cut")
    assert "cut short" in message(run("distill", "resynth", tiny, cut, "-o", out), 7)
    assert "not a sound file" in message(run("distill", "encode", tiny, spoilt(tmp_path, "text"), "-o",
                                             tmp_path / "z.npz"), 7)
    assert "no such file" in message(run("distill", "generate", tiny, "--from-audio", tmp_path / "x.wav", "-o", out), 3)
    write_latents(tmp_path / "other.npz", np.zeros((8, 4), np.float32), META)
    assert "0000000000000000" in message(run("distill", "generate", tiny, "--latents", tmp_path / "other.npz", "-o",
                                             out), 2)
    assert "give one" in message(run("distill", "generate", tiny, "--latents", "a", "--from-audio", "b", "-o", out), 2)
    assert "nowhere" in message(run("distill", "resynth", tiny, cut), 2)
    alone = tmp_path / "alone.onnx"
    alone.write_bytes((tiny / "decoder.onnx").read_bytes())
    soundfile.write(tmp_path / "in.wav", notes(0.3), RATE)
    assert "encoder" in message(run("distill", "resynth", alone, tmp_path / "in.wav", "-o", out), 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.onnx", "cut.wav", "in.wav", "other.npz", "text.wav"]
