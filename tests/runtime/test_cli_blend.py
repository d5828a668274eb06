"""`distill blend`, and `--control` on a running sound, as a user meets them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

Run = Callable[..., "CompletedProcess[str]"]
BIN = Path(sys.executable).parent


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process, which is twenty times faster; what goes to standard output is text here."""
    from distill import cli

    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(program: str, *words: object) -> CompletedProcess[str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        captured = capfd.readouterr()
        return CompletedProcess([], int(stop.value.code or 0), captured.out, captured.err)
    return call


def failed(result: CompletedProcess[str], code: int, *words: str) -> None:
    """Exit code, one line on stderr besides the seed, nothing on stdout, no traceback."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1 and result.stdout == "" and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def other(tiny: Path, tmp_path: Path) -> Path:
    """Another model of the same spec."""
    folder = Path(shutil.copytree(tiny, tmp_path / "models" / "other"))
    facts = json.loads((folder / "decoder.onnx.json").read_text())
    facts["model"]["name"] = "other"
    facts["normalization"]["mean"][1] += 0.4
    (folder / "decoder.onnx.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def slow(tiny: Path, tmp_path: Path) -> Path:
    """Half the sample rate."""
    folder = Path(shutil.copytree(tiny, tmp_path / "models" / "slow"))
    facts = json.loads((folder / "decoder.onnx.json").read_text())
    facts["audio"]["sample_rate_hz"] //= 2
    facts["latent"]["rate_hz"] /= 2
    (folder / "decoder.onnx.json").write_text(json.dumps(facts))
    return folder


def test_blend_takes_the_flags_of_generate(run: Run, tiny: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.flac"
    result = run("distill", "blend", f"{tiny}=0.7", f"{other}=1..0", "-o", out, "--seconds", 1.5, "--seed", 3,
                 "--channels", 2, "--sample-rate", 22_050, "--bit-depth", 16, "--wander", 0.5, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    info = soundfile.info(out)
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (33_075, 22_050, 2, "PCM_16")
    assert facts["model"] == "tiny+other" and facts["blend"]["mode"] == "spectral"
    assert [slot["weight"] for slot in facts["blend"]["slots"]] == [[0.7], [1.0, 0.0]]
    shared = run("distill", "generate", "--help").stdout, run("distill", "blend", "--help").stdout
    flags = [{word for word in text.split() if word.startswith("--")} for text in shared]
    assert flags[0] <= flags[1] and flags[1] - flags[0] == {"--blend-mode", "--save", "--set"}
    assert "Example: distill blend" in shared[1]


def test_a_weight_of_one_is_the_model(run: Run, tiny: Path, other: Path, tmp_path: Path) -> None:
    words = ("--seconds", 1, "--seed", 4)
    run("distill", "generate", other, "-o", tmp_path / "a.wav", *words)
    for mode in ("spectral", "latent", "audio"):
        result = run("distill", "blend", f"{tiny}=0", f"{other}=1", "-o", tmp_path / "b.wav", *words, "--force",
                     "--blend-mode", mode)
        assert result.returncode == 0, result.stderr
        assert np.array_equal(soundfile.read(tmp_path / "a.wav")[0], soundfile.read(tmp_path / "b.wav")[0])


def test_sets(run: Run, tiny: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_BLENDS", str(tmp_path / "sets"))
    words = (f"{tiny}=0.7", f"{other}=0.3", "--blend-mode", "audio")
    saved = run("distill", "blend", *words, "--save", "pad")
    assert saved.returncode == 0 and "pad.json" in saved.stderr
    failed(run("distill", "blend", *words, "--save", "pad"), 7, "--force")
    assert run("distill", "blend", *words, "--save", "pad", "--force").returncode == 0
    for name, ask in (("a", ("--set", "pad")), ("b", words)):
        made = run("distill", "blend", *ask, "-o", tmp_path / f"{name}.wav", "--seconds", 1, "--seed", 1)
        assert made.returncode == 0, made.stderr
    assert np.array_equal(soundfile.read(tmp_path / "a.wav")[0], soundfile.read(tmp_path / "b.wav")[0])
    failed(run("distill", "blend", "--set", "pat", "-o", tmp_path / "c.wav"), 3, "did you mean pad")
    failed(run("distill", "blend", "--set", "pad", *words[:1], "-o", tmp_path / "c.wav"), 2, "--set")
    failed(run("distill", "blend", *words, "--save", "../x"), 2, "../x")
    (tmp_path / "sets" / "pad.json").write_text("{}")
    failed(run("distill", "blend", "--set", "pad", "-o", tmp_path / "c.wav"), 7, "pad.json")
    shutil.rmtree(other)
    assert run("distill", "blend", f"{tiny}=1", "--save", "pad", "--force").returncode == 0
    assert not (tmp_path / "c.wav").exists()


@pytest.mark.parametrize(("weight", "words"), [
    ("=x", ("'x'", "1..0")), ("=-1", ("-1", "0 to")), ("=nan", ("nan",)), ("", ("MODEL=WEIGHT",)),
    ("=", ("MODEL=WEIGHT",)), ("=1..", ("1..0",)), ("=0", ("all weights are 0",)),
    ("=0..1", ("all weights are 0 0 %",)),
])
def test_bad_weights(run: Run, tiny: Path, tmp_path: Path, weight: str, words: tuple[str, ...]) -> None:
    failed(run("distill", "blend", f"{tiny}{weight}", "-o", tmp_path / "a.wav"), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_blended(run: Run, tiny: Path, other: Path, slow: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    failed(run("distill", "blend", f"{tiny}=1", f"{slow}=1", "-o", out), 2, "sample_rate is 16000 and 8000", "audio")
    failed(run("distill", "blend", f"{tiny}=1", f"{slow}=1", "-o", out, "--blend-mode", "latent"), 2, "audio")
    failed(run("distill", "blend", f"{tiny}=1", "-o", out, "--blend-mode", "mix"), 2, "spectral")
    failed(run("distill", "blend", f"{tiny}=1", "no-such-model=1", "-o", out), 3, "no-such-model")
    failed(run("distill", "blend", f"{tiny}=1", f"{other}=1..0", "-o", "-", "--endless"), 2, "--seconds")
    failed(run("distill", "blend", "-o", out), 2, "MODEL=WEIGHT", "--set")
    failed(run("distill", "blend", f"{tiny}=1"), 2, "-o")
    assert not out.exists()
    assert run("distill", "blend", f"{tiny}=1", f"{slow}=1", "-o", out, "--blend-mode", "audio", "--seconds", 1
               ).returncode == 0


def test_a_stream_obeys_lines_and_goes_on_when_they_end(tiny: Path, other: Path) -> None:
    words = [BIN / "distill", "blend", f"{tiny}=1", f"{other}=0", "-o", "-", "--raw", "--seed", "1", "--control",
             "stdin"]
    plain = subprocess.run([*words, "--seconds", "4"], stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
    with subprocess.Popen([*words, "--endless"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        made = process.stdout.read(4 * 8_000)
        process.stdin.write(b"weight other 1\nvolume 11\nweight tiny 0\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith(b"seed 1")
        told = process.stderr.readline()
        assert told.startswith(b"distill: control 'volume 11': unknown") and b"slider NAME VALUE" in told
        process.stdin.close()
        made += process.stdout.read(4 * 40_000)
        process.stdout.close()
        assert process.wait(20) == 0 and process.stderr.read() == b""
    changed = np.flatnonzero(np.frombuffer(made, "<f4") != np.frombuffer(plain, "<f4")[:48_000])
    waiting = 1024 + 2048 + 1152 + 1024  # the pipe, a chunk, what waits in the synthesis, and blocks on their way
    assert 8_000 <= changed[0] <= 8_000 + waiting


@pytest.mark.parametrize(("words", "about"), [
    (("--control", "midi", "-o", "-"), ("stdin",)), (("--control", "stdin", "-o", "a.wav"), ("-o -",)),
    (("--osc-port", "0", "-o", "-"), ("65535",)), (("--osc-port", "9000", "-o", "a.wav"), ("-o -",)),
    (("--control", "stdin", "-o", "-", "--quality", "high", "--seconds", "1"), ("high",)),
])
def test_bad_control_flags(run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                           words: tuple[str, ...], about: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    failed(run("distill", "generate", tiny, *words), 2, *about)
    assert list(tmp_path.iterdir()) == []
