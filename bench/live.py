"""Live control, measured from outside: python -m bench.live [MODEL] [--seconds 600] [--pace 20]. Prints a table.

A `distill generate --control stdin` runs as a player would run it, its sound goes through a pipe, and this program
plays sound card: it takes a block of 512 samples each time one has been played, `pace` times faster than real time, and
keeps a few waiting, as a card does. A block that is not there when its time has come is dropped. Meanwhile random
controls arrive. Latency is measured at real time: how many samples were taken from the pipe, after a line was written,
until the first one that differs from a run without it. numpy and subprocess only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np

BIN = Path(sys.executable).parent
BLOCK = 512  # samples
CARD_SECONDS = 0.5  # of sound that wait in the card, as with aplay
SEED = "1"


def command(model: str, *words: str) -> list[str]:
    return [str(BIN / "distill"), "generate", *([model] if model else []), "-o", "-", "--raw", "--seed", SEED,
            "--control", "stdin", *words]


def facts(model: str) -> tuple[int, list[str]]:
    """Sample rate in Hz, and names of the sliders."""
    told = subprocess.run([BIN / "distill", "info", *([model] if model else []), "--json"], capture_output=True,
                          check=True).stdout
    sidecar = json.loads(told)
    return sidecar["audio"]["sample_rate_hz"], [control["name"] for control in sidecar["controls"]]


def endurance(model: str, rate: int, sliders: list[str], seconds: float, pace: float,
              words: tuple[str, ...]) -> dict[str, float]:
    """Play `seconds` of sound `pace` times faster than real time while controls arrive."""
    step = BLOCK / rate / pace  # seconds of this machine
    card = max(2, round(CARD_SECONDS * rate / BLOCK))  # blocks
    with subprocess.Popen(command(model, "--endless", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        stop = threading.Event()
        told: list[bytes] = []
        threads = [threading.Thread(target=_turn, args=(process.stdin, sliders, stop)),
                   threading.Thread(target=_listen, args=(process.stderr, told))]
        dropped, worst, memory = 0, 0.0, []
        try:
            _read(process.stdout, card)
            for thread in threads:
                thread.start()
            begun = time.perf_counter()
            start = begun  # when block 0 was played
            total = round(seconds * rate / BLOCK)
            for block in range(card, total):
                time.sleep(max(0.0, start + (block - card + 1) * step - time.perf_counter()))  # until there is room
                _read(process.stdout, 1)
                late = time.perf_counter() - (start + block * step)
                if late > 0:
                    dropped, worst, start = dropped + 1, max(worst, late), start + late
                if block == min(round(60 * rate / BLOCK), total - 1):
                    memory.append(_resident(process.pid))
                    processor, played = _processor(process.pid), block
            spent = time.perf_counter() - begun
            memory.append(_resident(process.pid))
            processor = _processor(process.pid) - processor
        finally:
            stop.set()
            process.kill()
            for thread in threads:
                if thread.is_alive():
                    thread.join()
    lines = [line for line in told if not line.startswith(b"seed")]
    return {"seconds": seconds, "pace asked": pace, "pace": seconds / spent, "dropped": dropped,
            "worst ms": 1000 * worst,
            "by processor time": (total - played) * BLOCK / rate / max(processor, 1e-9), "complaints": len(lines),
            "MB at 60 s": memory[0], "MB at the end": memory[-1]}


def latency(model: str, rate: int, line: str, words: tuple[str, ...], tries: int) -> list[float]:
    """Milliseconds of sound from a line to the first sample that follows it, taken from the pipe at real time."""
    plain = subprocess.run(command(model, "--seconds", "6", *words), stdin=subprocess.DEVNULL, capture_output=True,
                           check=True).stdout
    reference = np.frombuffer(plain, "<f4")
    found = []
    for attempt in range(tries):
        with subprocess.Popen(command(model, "--seconds", "6", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            assert process.stdin is not None and process.stdout is not None
            taken = process.stdout.read(4 * BLOCK)
            time.sleep(0.5)  # until the pipe is full, as it is when the player is slower than we are
            start = time.perf_counter()
            sent = round((1.0 + 0.037 * attempt) * rate / BLOCK)  # blocks; not always at the same place in a chunk
            for block in range(1, round(3 * rate / BLOCK)):
                if block == sent:
                    process.stdin.write(line.encode() + b"\n")
                    process.stdin.flush()
                taken += process.stdout.read(4 * BLOCK)
                time.sleep(max(0.0, start + block * BLOCK / rate - time.perf_counter()))
            process.kill()
        sound = np.frombuffer(taken, "<f4")
        changed = np.flatnonzero(sound != reference[:len(sound)])
        found.append(1000 * (changed[0] - sent * BLOCK) / rate)
    return found


def _turn(stdin: IO[bytes], sliders: list[str], stop: threading.Event) -> None:
    """A random line every 10 ms, now and then one that means nothing."""
    rng = np.random.default_rng(0)
    while not stop.wait(0.01):
        choice = rng.integers(10)
        if choice == 0:
            line = f"wander {rng.uniform():.3f}"
        elif choice == 1:
            line = f"seed {rng.integers(100)}"
        elif sliders:
            line = f"slider {sliders[rng.integers(len(sliders))]} {rng.uniform(-8, 8):.2f}"
        else:
            continue
        try:
            stdin.write(line.encode() + b"\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):
            return


def _listen(stderr: IO[bytes], told: list[bytes]) -> None:
    told.extend(stderr)


def _read(stdout: IO[bytes], blocks: int) -> None:
    if len(stdout.read(4 * BLOCK * blocks)) != 4 * BLOCK * blocks:
        raise SystemExit("the sound ended early")


def _resident(pid: int) -> float:
    """Memory in use, MB."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(told) / 1024


def _processor(pid: int) -> float:
    """Processor time used so far, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--seconds", type=float, default=600.0, help="of sound; 0 leaves that out")
    parser.add_argument("--pace", type=float, default=20.0, help="times real time")
    parser.add_argument("--tries", type=int, default=8)
    parser.add_argument("--words", default="", help="further flags for distill generate")
    asked = parser.parse_args()
    words = tuple(asked.words.split())
    rate, sliders = facts(asked.model)
    print("| what | first change, ms: mean | largest |\n|---|---|---|")
    for line in ([f"slider {sliders[0]} 6"] if sliders else []) + ["wander 1", "seed 77"]:
        found = latency(asked.model, rate, line, words, asked.tries)
        print(f"| {line} | {np.mean(found):.0f} | {np.max(found):.0f} |", flush=True)
    if not asked.seconds:
        return
    figures = endurance(asked.model, rate, sliders, asked.seconds, asked.pace, words)
    print("\n| " + " | ".join(figures) + " |\n|" + "---|" * len(figures))
    row = (f"{value:.0f}" if value == round(value) else f"{value:.1f}" for value in figures.values())
    print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
