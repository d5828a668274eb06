"""A sound file says what made it, and that is enough to make it again."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import soundfile

import distill
from distill import provenance
from distill.audio_file import FileSink
from distill.errors import FileError, InvalidValue, NotFound
from distill.knobs import Knobs
from distill.provenance import Recipe, read_comment, read_recipe

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def recipe(tiny: Path) -> Recipe:
    return Recipe.of(distill.load(tiny, device="cpu"), Knobs.of(seed=7, sliders={"brightness": 2.5}, wander=0.1),
                     1.5, 44_100, "24")


def write(path: Path, comment: str, depth: Any = None, samples: int = 100) -> Path:
    with FileSink(path, 44_100, 1, depth, samples=samples, seed=0, title="tiny", comment=comment) as sink:
        sink.write(np.zeros(100, np.float32))
    return path


FORMATS = [("a.wav", "16", 100), ("b.wav", "24", 100), ("c.wav", "float", 100), ("rf64.wav", "24", 1 << 31),
           ("d.flac", "16", 100), ("e.flac", "24", 100), ("f.aiff", "24", 100), ("g.aiff", "float", 100),
           ("h.ogg", None, 100), ("i.mp3", None, 100)]


@pytest.mark.parametrize(("name", "depth", "samples"), FORMATS)
@pytest.mark.parametrize("near", ["", "PEAK.wav " * 400])  # short, and longer than libsndfile reads in a WAV
def test_every_format_keeps_the_recipe(recipe: Recipe, tmp_path: Path, name: str, depth: Any, samples: int,
                                       near: str) -> None:
    from msgspec.structs import replace

    long = replace(recipe, knobs={**recipe.knobs, "near": near}) if near else recipe
    path = write(tmp_path / name, long.text(), depth, samples)
    assert (path.read_bytes()[:4] == b"RF64") == (name == "rf64.wav")
    assert read_recipe(path) == long
    with soundfile.SoundFile(path) as file:
        assert file.title == "tiny"


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "c.aiff"])
def test_the_same_recipe_gives_the_same_bytes(recipe: Recipe, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    here, there = (write(folder / name, recipe.text()).read_bytes() for folder in (tmp_path, tmp_path / "x"))
    assert here == there


def test_the_recipe_tells_all_that_decides(recipe: Recipe, tiny: Path) -> None:
    facts = json.loads(recipe.text())
    sidecar = distill.load(tiny, device="cpu").sidecar
    assert facts == {
        "distill": distill.__version__, "model": "tiny", "model_id": sidecar.model.id, "variant": "fp32",
        "device": "cpu", "seconds": 1.5, "sample_rate": 44_100, "bit_depth": "24", "seed": 7, "mode": "walk",
        "license": "CC0-1.0", "knobs": {k: v for k, v in facts["knobs"].items()}}
    assert facts["knobs"]["sliders"] == {"brightness": 2.5} and facts["knobs"]["wander"] == 0.1
    assert recipe.text().isascii() and "\n" not in recipe.text() and ": " not in recipe.text()
    assert Knobs.of(**recipe.wishes) == Knobs.of(seed=7, sliders={"brightness": 2.5}, wander=0.1)
    everything = Knobs.of(seed=1, mode="vector", latent=[0.25] * 8, evolution=0.5, loop=True, channels=2, width=0.5)
    again = Recipe.of(distill.load(tiny, device="cpu"), everything, 1, 8000, None)
    assert Knobs.of(**json.loads(json.dumps(again.wishes))) == everything


def test_files_that_say_nothing(recipe: Recipe, tmp_path: Path) -> None:
    plain = tmp_path / "plain.wav"
    soundfile.write(plain, np.zeros(10), 8000)
    assert read_comment(plain) == ""
    with pytest.raises(InvalidValue, match="does not say how it was made"):
        read_recipe(plain)
    with pytest.raises(InvalidValue, match="does not say"):
        read_recipe(write(tmp_path / "other.wav", "recorded in Graz"))
    with pytest.raises(NotFound, match="no such file"):
        read_recipe(tmp_path / "none.wav")
    with pytest.raises(NotFound, match="not a file"):
        read_recipe(tmp_path)
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(FileError, match="not a sound file"):
        read_recipe(tmp_path / "text.wav")


@pytest.mark.parametrize(("change", "word"), [
    ({"colour": "red"}, "colour"), ({"seed": "1"}, "seed"), ({"knobs": {"wandr": 1}}, "wandr"),
    ({"mode": "fly"}, "fly"), ({"knobs": {"sliders": {"x": 99}}}, "99"), ({"distill": "99.0", "new": 1}, "99.0"),
])
def test_recipes_that_this_version_does_not_know(recipe: Recipe, tmp_path: Path, change: dict[str, Any],
                                                 word: str) -> None:
    path = write(tmp_path / "a.flac", json.dumps({**recipe.facts, **change}, separators=(",", ":")))
    with pytest.raises(InvalidValue) as caught:
        read_recipe(path)
    assert word in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("chunk", [b"LIST\xff\xff\xff\x7fINFO", b"LIST\x10\x00\x00\x00INFOICMT\xff\xff\xff\x7f",
                                   b"LIST\x04\x00\x00\x00INFO", b"LIS"])
def test_damaged_chunks_do_no_harm(tmp_path: Path, chunk: bytes) -> None:
    from distill.provenance import _riff_comment

    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WAVE" + chunk)
    with path.open("rb") as stream:
        assert _riff_comment(stream) == ""


@pytest.mark.parametrize(("name", "options"), [
    ("a.wav", ("--slider", "brightness=3", "--channels", 2)), ("a.wav", ("--bit-depth", "float", "--mode", "vector")),
    ("a.wav", ("--bit-depth", 16, "--sample-rate", 44_100, "--randomize")), ("a.flac", ("--variant", "int8")),
])
def test_again_makes_the_same_file(here: Run, tiny: Path, tmp_path: Path, name: str,
                                   options: tuple[object, ...]) -> None:
    made = here("generate", tiny, "-o", tmp_path / name, "--seconds", 0.7, *options, "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)["files"][0]
    assert read_recipe(tmp_path / name).facts == told["recipe"]
    same = tmp_path / f"same{Path(name).suffix}"
    result = here("again", tmp_path / name, "-o", same, "--model", tiny)
    assert result.returncode == 0, result.stderr
    assert same.read_bytes() == (tmp_path / name).read_bytes()


def test_again_finds_the_model_or_says_what_is_missing(here: Run, tiny: Path, tiny_copy: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path / "models"))
    shutil.copytree(tiny, tmp_path / "models" / "renamed")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "decoder.onnx.json").write_text("{")
    first, second, third = (tmp_path / name for name in ("a.wav", "b.wav", "c.mp3"))
    assert here("blend", "renamed=0.7", f"{tiny}=0..1", "-o", first, "--seconds", 0.5).returncode == 0
    assert here("again", first, "-o", second).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    assert here("again", first, "-o", third).returncode == 0 and read_recipe(third).bit_depth is None

    def failed(code: int, *words: object) -> str:
        result = here("again", *words)
        lines = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
        assert result.returncode == code and len(lines) == 1 and not result.stdout, result.stderr
        return lines[0]

    out = tmp_path / "d.wav"
    facts = (tiny_copy / "decoder.onnx.json").read_text()
    own = json.loads(facts)["model"]["id"]
    (tiny_copy / "decoder.onnx.json").write_text(facts.replace(own, "0123456789abcdef"))
    assert own in failed(2, first, "-o", out, "--model", tiny_copy)
    failed(3, tmp_path / "none.wav", "-o", out)
    failed(7, first, "-o", second)
    failed(2, first, "-o", tmp_path / "d.doc")
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path / "none"))
    assert "--model" in failed(3, first, "-o", out)
    assert not out.exists()


@pytest.mark.parametrize("begin", ["--from-audio", "--latents"])
def test_a_sound_that_began_with_a_recording_wants_it_back(here: Run, tiny: Path, tmp_path: Path, begin: str) -> None:
    recording, other, first, second = (tmp_path / n for n in ("door.wav", "other.wav", "a.flac", "b.flac"))
    time = np.arange(16_000) / 16_000
    soundfile.write(recording, 0.3 * np.sin(2 * np.pi * 330 * time), 16_000)
    soundfile.write(other, 0.3 * np.sin(2 * np.pi * 550 * time), 16_000)
    given = recording
    if begin == "--latents":
        given = tmp_path / "z.npz"
        assert here("encode", tiny, recording, "-o", given).returncode == 0
    assert here("generate", tiny, begin, given, "-o", first, "--seconds", 0.8, "--seed", 3).returncode == 0
    recipe = read_recipe(first)
    assert recipe.anchor is not None and "door.wav" in recipe.anchor.name and str(tmp_path) not in recipe.text()
    refused = here("again", first, "-o", second, "--model", tiny)
    assert refused.returncode == 2 and "--from-audio" in refused.stderr and not second.exists()
    result = here("again", first, "-o", second, "--model", tiny, begin, given)
    assert result.returncode == 0 and "warning" not in result.stderr
    assert first.read_bytes() == second.read_bytes()
    result = here("again", first, "-o", second, "--model", tiny, "--from-audio", other, "--force")
    assert "not quite the recording" in result.stderr


def test_a_resynthesis_says_what_it_needs(here: Run, tiny: Path, tmp_path: Path) -> None:
    recording, made = tmp_path / "voice.wav", tmp_path / "made.wav"
    soundfile.write(recording, 0.3 * np.sin(np.arange(8_000)), 16_000)
    assert here("resynth", tiny, recording, "-o", made).returncode == 0
    told = json.loads(read_comment(made))
    assert told["command"] == "resynth" and told["recording"] == "voice.wav" and told["model"] == "tiny"
    assert told["license"] == "CC0-1.0" and str(tmp_path) not in read_comment(made)
    refused = here("again", made, "-o", tmp_path / "b.wav", "--model", tiny)
    assert refused.returncode == 2 and "distill resynth, from 'voice.wav'" in refused.stderr


@pytest.mark.parametrize("name", ["bell", "Gl\u00f6ckchen", "bell\udc80"])
def test_a_recipe_is_one_line_of_ascii_whatever_the_name(name: str) -> None:
    text = provenance._line({"model": name, "gain": 0.5})
    assert text.isascii() and "\n" not in text and " " not in text
    assert json.loads(text) == {"model": name, "gain": 0.5}
