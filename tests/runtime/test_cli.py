"""The `distill` command as a user meets it: files, pipes, one line for an error, and its exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

Run = Callable[..., "CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[bytes]"]
BIN = Path(sys.executable).parent


def failed(result: CompletedProcess[str], code: int, *words: str) -> None:
    """Exit code, one line on stderr besides the seed, nothing on stdout, no traceback."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1 and result.stdout == "" and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_generate_writes_a_sound(run: Run, tiny: Path, tmp_path: Path) -> None:
    result = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 2, "--seed", 1, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    audio, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == 16_000 and len(audio) == 32_000 == facts["files"][0]["samples"]
    assert 20 * np.log10(np.sqrt(np.mean(audio ** 2))) == pytest.approx(facts["files"][0]["rms_db"], abs=0.1)
    assert facts["files"][0]["seed"] == 1 and "seed 1" in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "a.wav"]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_same_seed_same_bytes(run: Run, tiny: Path, tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        assert run("distill", "generate", tiny, "-o", tmp_path / f"{name}.{suffix}", "--seconds", 1, "--seed", 9,
                   "--bit-depth", 16).returncode == 0
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_the_drawn_seed_is_told_and_works(run: Run, tiny: Path, tmp_path: Path) -> None:
    first = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 0.5)
    seed = first.stderr.split()[1]
    run("distill", "generate", tiny, "-o", tmp_path / "b.wav", "--seconds", 0.5, "--seed", seed)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_options_before_and_after_the_model(run: Run, tiny: Path, tmp_path: Path) -> None:
    assert run("distill", "generate", "-o", tmp_path / "a.wav", "--seconds", 0.2, tiny).returncode == 0
    assert run("distill", "generate", tiny, "--seconds", 0.2, "-o", tmp_path / "b.wav").returncode == 0


def test_other_rate_is_the_same_sound(run: Run, tiny: Path, tmp_path: Path) -> None:
    import soxr

    for name, options in (("a", ()), ("b", ("--sample-rate", 44_100))):
        run("distill", "generate", tiny, "-o", tmp_path / f"{name}.wav", "--seconds", 1.5, "--seed", 2,
            "--bit-depth", "float", *options)
    a, _ = soundfile.read(tmp_path / "a.wav")
    b, rate = soundfile.read(tmp_path / "b.wav")
    assert rate == 44_100 and len(b) == round(1.5 * 44_100)
    assert np.abs(soxr.resample(a, 16_000, 44_100, "VHQ") - b).max() < 1e-4


def test_count_makes_files_with_seeds_counting_up(run: Run, tiny: Path, tmp_path: Path) -> None:
    result = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 0.3, "--seed", 5, "--count", 3,
                 "--json")
    assert [f["seed"] for f in json.loads(result.stdout)["files"]] == [5, 6, 7]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-1.wav", "a-2.wav", "a-3.wav"]
    run("distill", "generate", tiny, "-o", tmp_path / "b.wav", "--seconds", 0.3, "--seed", 6)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a-2.wav").read_bytes()


def test_pipe_holds_a_wav_or_bare_samples(run: Run, tiny: Path, tmp_path: Path) -> None:
    words = ("distill", "generate", tiny, "-o", "-", "--seconds", 1, "--seed", 1)
    wav = run(*words, text=False).stdout
    audio, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    raw = np.frombuffer(run(*words, "--raw", text=False).stdout, "<f4")
    whole = np.frombuffer(run(*words, "--raw", "--bit-depth", 16, text=False).stdout, "<i2")
    assert rate == 16_000 and np.array_equal(audio, raw) and len(whole) == len(raw) == 16_000
    assert np.abs(whole / 32768 - raw).max() < 1e-4


def test_endless_goes_on_until_the_reader_leaves(tiny: Path) -> None:
    with subprocess.Popen([BIN / "distill", "generate", tiny, "--endless", "--raw", "-o", "-", "--seed", "1"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        wanted = 4 * 16_000 * 60
        assert len(process.stdout.read(wanted)) == wanted
        process.stdout.close()
        assert process.wait(20) == 0
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_no_file(start: Start, tiny: Path, tmp_path: Path, number: int, code: int) -> None:
    process = start("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 80_000, stderr=subprocess.PIPE)
    for _ in range(200):
        if any(p.stat().st_size > 100_000 for p in tmp_path.iterdir()):
            break
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(30) == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "words"), [
    (("--seconds", 0), ("seconds",)), (("--seconds", -1), ("seconds",)), (("--seconds", "nan"), ("seconds",)),
    (("--seconds", "1e12"), ("seconds",)), (("--seconds", "ten"), ("seconds",)), (("--seed", -1), ("seed",)),
    (("--mode", "fly"), ("mode", "walk")), (("--wander", 3), ("wander",)), (("--quality", "best"), ("balanced",)),
    (("--bit-depth", 8), ("16",)), (("--sample-rate", 1), ("4000",)), (("--count", 0), ("count",)),
    (("--device", "tpu"), ("cuda",)), (("--endless",), ("-o -",)), (("--raw",), ("-o -",)),
    (("--no-such-option",), ("no-such-option",)),
])
def test_bad_values(run: Run, tiny: Path, tmp_path: Path, options: tuple[object, ...], words: tuple[str, ...]) -> None:
    failed(run("distill", "generate", tiny, "-o", tmp_path / "a.wav", *options), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_exit_codes(run: Run, tiny: Path, tiny_copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    failed(run("distill", "generate", "no-such-model", "-o", out), 3, "no-such-model")
    failed(run("distill", "generate", tiny, "-o", out, "--device", "cuda"), 5, "onnxruntime-gpu")
    failed(run("distill", "generate", tiny, "-o", tmp_path / "no" / "a.wav"), 7, "cannot be written")
    failed(run("distill", "generate", tiny, "-o", tmp_path / "a.doc"), 2, ".wav")
    failed(run("distill", "generate", tiny), 2, "output")
    out.write_bytes(b"mine")
    failed(run("distill", "generate", tiny, "-o", out), 7, "--force")
    assert out.read_bytes() == b"mine"
    (tiny_copy / "decoder.onnx").write_bytes(b"x")
    failed(run("distill", "generate", tiny_copy, "-o", out, "--force"), 4, "decoder.onnx")
    failed(run("distill", "check", tiny_copy), 4, "decoder.onnx")
    (tmp_path / "old.pt").write_bytes(b"x")
    failed(run("distill", "info", tmp_path / "old.pt"), 4,
           "Incompatible model format. Please retrain with current version.")
    assert out.read_bytes() == b"mine"


def test_info_and_check(run: Run, tiny: Path) -> None:
    facts = json.loads(run("distill", "info", tiny, "--json").stdout)
    assert facts["latent"]["dim"] == 8 and facts["measured_here"]["real_time_factor"] > 1
    first = facts["controls"][0]
    assert facts["copying"]["generated"]["median_db"] > 0
    text = run("distill", "info", tiny).stdout
    assert "tiny" in text and "seam" in text and "CC0-1.0" in text
    (row,) = [line for line in text.splitlines() if line.startswith(f"1  {first['name']} ")]
    assert first["label"] in row and f"r {first['correlation']:+.2f}" in row and first["unit"] in row and "%" in row
    assert first["low_file"] in row and first["high_file"] in row
    result = run("distill", "check", tiny, "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["max_error"] < 1e-3


def test_models_lists_the_folder_and_the_built_in(run: Run, tiny_copy: Path) -> None:
    result = run("distill", "models", "--json", env={**os.environ, "DISTILL_MODELS": str(tiny_copy.parent)})
    names = [m["name"] for m in json.loads(result.stdout)["models"]]
    assert names == ["tiny", "vibraphone"]


def test_info_says_how_near_it_is_to_copying() -> None:
    from distill.cli.table import copying
    from distill.sidecar import Copying, Nearest

    near, far = Nearest(median_db=2.0, p10_db=1.0), Nearest(median_db=8.0, p10_db=4.0)
    assert copying(Copying(generated=near, held_out=far)) == (
        "generated patches lie 0.25 times as far from the nearest recorded patch as held-out recordings do "
        "(2.0 and 8.0 dB)")
    nothing = copying(Copying(generated=near, held_out=None))
    assert "2.0 dB" in nothing and "nothing was held out" in nothing
    silent = Nearest(median_db=0.0, p10_db=0.0)
    exact = copying(Copying(generated=near, held_out=silent))  # no division by nothing
    assert "2.0 dB" in exact and "repeat others exactly" in exact
    assert "not measured" in copying(None)


@pytest.mark.parametrize("words", [(), ("generate",), ("info",), ("check",), ("models",)])
def test_help_has_an_example(run: Run, words: tuple[str, ...]) -> None:
    result = run("distill", *words, "--help")
    assert result.returncode == 0
    assert not words or f"Example: distill {words[0]}" in result.stdout


def test_version(run: Run) -> None:
    import distill

    assert run("distill", "--version").stdout.strip() == distill.__version__
