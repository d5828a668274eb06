"""Sound on its way out of the commands: channels, rates, several at once, the loudspeaker, and what may go wrong."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

from distill.limiter import CEILING_DB
from distill.resample import resampled

Run = Callable[..., "CompletedProcess[str]"]
BIN = Path(sys.executable).parent

FAKE_PLAYER = """
import os
class PortAudioError(Exception):
    pass
class OutputStream:
    def __init__(self, samplerate, channels, dtype):
        if os.environ.get("NO_DEVICE"):
            raise PortAudioError("Error querying device -1")
        self.file = open(os.environ["PLAYED"], "wb")
        self.says = open(os.environ["PLAYED"] + ".txt", "w")
        print(samplerate, channels, dtype, file=self.says)
    def start(self):
        print("start", file=self.says)
    def write(self, rows):
        self.file.write(rows.tobytes())
        return False
    def stop(self):
        print("stop", file=self.says)
    def abort(self):
        print("abort", file=self.says)
    def close(self):
        self.file.close()
        self.says.close()
"""


@pytest.fixture
def loudspeaker(tmp_path: Path) -> dict[str, str]:
    """An environment in which sounddevice writes what it plays to a file."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "sounddevice.py").write_text(FAKE_PLAYER)
    return {**os.environ, "PYTHONPATH": str(tmp_path / "fake"), "PLAYED": str(tmp_path / "played")}


def message(result: CompletedProcess[str], code: int) -> str:
    """The one line of an error."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    assert result.returncode == code and len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]


def test_two_channels(run: Run, tiny: Path, tmp_path: Path) -> None:
    words = ("distill", "generate", tiny, "--seconds", 1, "--seed", 2, "--channels", 2)
    raw = run(*words, "-o", "-", "--raw", text=False).stdout
    interleaved = np.frombuffer(raw, "<f4").reshape(-1, 2)
    assert len(interleaved) == 16_000 and np.abs(interleaved[:, 0] - interleaved[:, 1]).max() > 0.01
    facts = json.loads(run(*words, "-o", tmp_path / "a.wav", "--json").stdout)
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0] - interleaved).max() < 1e-6
    assert facts["channels"] == facts["files"][0]["channels"] == 2 and -30 < facts["files"][0]["lufs"] < -10


def test_headphones_and_refusals(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    assert run("distill", "generate", tiny, "-o", out, "--seconds", 1, "--seed", 1, "--channels", 2, "--binaural",
               "--azimuth", 80, "--width", 0).returncode == 0
    left, right = soundfile.read(out)[0].T
    assert np.mean(right ** 2) > 1.2 * np.mean(left ** 2)  # low notes: little shadow
    assert "two channels" in message(run("distill", "generate", tiny, "-o", tmp_path / "b.wav", "--width", 1), 2)


@pytest.mark.parametrize(("channels", "rate"), [(1, 96_000), (2, 44_100)])
def test_other_rates_have_the_exact_length(run: Run, tiny: Path, tmp_path: Path, channels: int, rate: int) -> None:
    run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 1.2345, "--seed", 1, "--channels", channels,
        "--sample-rate", rate)
    facts = soundfile.info(tmp_path / "a.wav")
    assert (facts.samplerate, facts.channels, facts.frames) == (rate, channels, round(1.2345 * rate))


def test_resampling_in_pieces_is_resampling_at_once() -> None:
    audio = np.random.default_rng(0).standard_normal((2, 20_001)).astype(np.float32)
    at_once = np.concatenate(list(resampled([audio], 16_000, 44_100, 55_130)), axis=1)
    pieces = (audio[:, i:i + 333] for i in range(0, 20_001, 333))
    assert np.array_equal(np.concatenate(list(resampled(pieces, 16_000, 44_100, 55_130)), axis=1), at_once)
    assert at_once.shape == (2, 55_130)
    assert np.concatenate(list(resampled([audio[0]], 16_000, 44_100, 55_200))).shape == (55_200,)
    assert np.concatenate(list(resampled([audio[0]], 16_000, 44_100, 100))).shape == (100,)


def test_loudness_can_be_left_to_the_model(run: Run, tiny: Path, tmp_path: Path) -> None:
    words = ("distill", "generate", tiny, "--seconds", 2, "--seed", 3, "--bit-depth", "float", "-o")
    run(*words, tmp_path / "equal.wav")
    run(*words, tmp_path / "model.wav", "--no-loudness")
    equal, own = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("equal", "model"))
    gain = json.loads((tiny / "decoder.onnx.json").read_text())["loudness"]["gain_db"]
    ratio = equal[np.abs(own) > 0.01] / own[np.abs(own) > 0.01]
    assert 20 * np.log10(np.median(ratio)) == pytest.approx(gain, abs=0.01)
    assert 20 * np.log10(np.abs(equal).max()) <= CEILING_DB + 1e-3


def test_jobs_change_nothing(run: Run, tiny: Path, tmp_path: Path) -> None:
    for jobs in (1, 3):
        (tmp_path / str(jobs)).mkdir()
        result = run("distill", "generate", tiny, "-o", tmp_path / str(jobs) / "a.flac", "--seconds", 0.7, "--seed", 5,
                     "--count", 5, "--jobs", jobs, "--bit-depth", 16, "--json")
        files = json.loads(result.stdout)["files"]
        assert [f["seed"] for f in files] == [5, 6, 7, 8, 9] and sorted(result.stderr.split()[1::2]) == list("56789")
        assert [Path(f["path"]).name for f in files] == [f"a-{i}.flac" for i in range(1, 6)]
    for path in sorted((tmp_path / "1").iterdir()):
        assert path.read_bytes() == (tmp_path / "3" / path.name).read_bytes()


def test_one_failure_gives_up_the_other_jobs(run: Run, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "a-2.wav").write_bytes(b"mine")
    started = time.monotonic()
    result = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 40_000, "--count", 3, "--jobs", 3)
    assert "a-2.wav exists" in message(result, 7) and time.monotonic() - started < 30
    assert [p.name for p in tmp_path.iterdir()] == ["a-2.wav"] and (tmp_path / "a-2.wav").read_bytes() == b"mine"


def test_ctrl_c_stops_all_jobs_and_leaves_nothing(
        start: Callable[..., subprocess.Popen[bytes]], tiny: Path, tmp_path: Path) -> None:
    process = start("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 40_000, "--count", 3,
                    "--jobs", 2, stderr=subprocess.PIPE)
    for _ in range(200):
        if sum(p.stat().st_size > 100_000 for p in tmp_path.iterdir()) == 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None and b"Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


def test_play(run: Run, tiny: Path, tmp_path: Path, loudspeaker: dict[str, str]) -> None:
    words = ("distill", "generate", tiny, "--seconds", 1, "--seed", 2, "--channels", 2)
    result = run(*words, "--play", "-o", tmp_path / "a.wav", "--bit-depth", "float", env=loudspeaker)
    assert result.returncode == 0, result.stderr
    played = np.frombuffer((tmp_path / "played").read_bytes(), "<f4").reshape(-1, 2)
    assert np.array_equal(played, soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
    assert (tmp_path / "played.txt").read_text().splitlines() == ["16000 2 float32", "start", "stop"]
    assert run(*words, "--play", env=loudspeaker).returncode == 0


def test_play_that_cannot_be(run: Run, tiny: Path, tmp_path: Path, loudspeaker: dict[str, str]) -> None:
    words = ("distill", "generate", tiny, "--seconds", 1, "--play")
    assert "Error querying device" in message(run(*words, env={**loudspeaker, "NO_DEVICE": "1"}), 5)
    fake = tmp_path / "fake" / "sounddevice.py"
    fake.write_text("raise ImportError")
    assert "pip install 'distill-audio[play]'" in message(run(*words, env=loudspeaker), 2)
    fake.write_text("raise OSError('PortAudio library not found')")
    assert "libportaudio2" in message(run(*words, env=loudspeaker), 5)
    assert "nowhere" in message(run("distill", "generate", tiny), 2)


def test_a_pipe_of_known_length_says_so(run: Run, tiny: Path) -> None:
    for depth, width in (("16", 2), ("24", 3)):
        words = ("generate", tiny, "-o", "-", "--seconds", 0.33331, "--bit-depth", depth)
        data = run("distill", *words, text=False).stdout
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnframes(), file.getsampwidth(), file.getnchannels()) == (5333, width, 1)
        assert len(data) == 44 + 5333 * width + 5333 * width % 2


def test_standard_output_that_is_full_closed_or_a_terminal(tiny: Path) -> None:
    command = f"{BIN / 'distill'} generate {tiny} -o - --seconds 1 --seed 1"
    for rest, named in ((">/dev/full", "No space left"), (">&-", "closed")):
        result = subprocess.run(["bash", "-c", f"{command} {rest}"], capture_output=True, text=True, check=False)
        assert named in message(result, 7)
    for program, code in (("info %s > /dev/full", 7), ("info %s | head -c 5 >/dev/null; exit ${PIPESTATUS[0]}", 0)):
        result = subprocess.run(["bash", "-c", f"{BIN / 'distill'} {program % tiny}"], capture_output=True, text=True,
                                check=False)
        assert result.returncode == code and "internal error" not in result.stderr
    controller, terminal = pty.openpty()
    result = subprocess.run(["bash", "-c", command], stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    os.close(terminal)
    os.close(controller)
    assert "terminal" in message(result, 7)
    result = subprocess.run(["bash", "-c", f"{command} --raw 2>&-"], capture_output=True, check=False)
    assert result.returncode == 0 and len(result.stdout) == 64_000  # what is said without stderr is not in the sound


@pytest.mark.parametrize("colour", [True, False])
def test_progress_is_for_terminals(run: Run, tiny: Path, tmp_path: Path, colour: bool) -> None:
    words = [BIN / "distill", "generate", tiny, "-o", "-", "--raw", "--seconds", "600", "--seed", "1"]
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    environment |= {"TERM": "xterm", **({} if colour else {"NO_COLOR": "1"})}
    controller, terminal = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=terminal, env=environment) as process:
        os.close(terminal)
        seen = b""
        while b" left" not in seen and process.poll() is None:
            seen += os.read(controller, 1000)
        process.terminate()
        process.wait(20)
    os.close(controller)
    assert b"times real time" in seen and b"of 10:00" in seen and (b"\x1b[36m" in seen) is colour
    silent = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 60, "--seed", 1)
    assert silent.stderr == "seed 1\n"
