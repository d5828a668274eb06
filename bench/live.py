"""Live control, measured from outside: python -m bench.live [MODEL] [--seconds 600] [--pace 20]. Prints a table.

A `distill generate --control stdin` runs as a player would run it, its sound goes through a pipe, and this program
plays sound card: it takes a block of 512 samples each time one has been played, `pace` times faster than real time, and
keeps a few waiting, as a card does. A block that is not there when its time has come is late. Meanwhile random controls
arrive, one each fifth of a second of sound. On a machine that does other work too, lateness by the clock says more
about that work than about us; so a second card is simulated, whose clock is the processor time that the program has
used. Latency is measured at real time: how many samples were taken from the pipe, after a line was written, until the
first one that differs from a run without it. Linux; numpy and subprocess only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

BIN = Path(sys.executable).parent
BLOCK = 512  # samples
CARD_SECONDS = 0.5  # of sound that wait in the card, as with aplay
SEED = "1"
_EVERY = 20  # blocks from one control line to the next: 10 ms of this machine, at 20 times real time


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
        told: list[bytes] = []
        listener = threading.Thread(target=_listen, args=(process.stderr, told))
        lines = random_lines(sliders)
        wall, own = Card(card, step), Card(card, step)
        memory: list[float] = []
        try:
            _read(process.stdout, card)
            listener.start()
            clock = _processor_clock(process.pid)
            begun, used, every = time.perf_counter(), time.clock_gettime(clock), max(1, round(60 * rate / BLOCK))
            first, played = used, 0
            for block in range(round(seconds * rate / BLOCK) - card):
                time.sleep(max(0.0, begun + wall.room(block) - time.perf_counter()))
                if block % _EVERY == 0:
                    process.stdin.write(next(lines))
                    process.stdin.flush()
                _read(process.stdout, 1)
                wall.take(block, time.perf_counter() - begun)
                now = time.clock_gettime(clock)
                own.take(block, max(own.last, own.room(block)) + now - used)
                used, played = now, block + 1
                if played % every == 0:
                    memory.append(_resident(process.pid))
                    print(f"\r{played * BLOCK / rate / 60:.0f} min, {memory[-1]:.1f} MB, {wall.late} late", end="",
                          file=sys.stderr, flush=True)
            spent = time.perf_counter() - begun
            memory.append(_resident(process.pid))
        finally:
            process.kill()
            if listener.is_alive():
                listener.join()
    complaints = [line for line in told if not line.startswith(b"seed")]
    return {"seconds": seconds, "pace asked": pace, "pace": seconds / spent, "late by the clock": wall.late,
            "worst, ms": 1000 * wall.worst, "late by processor time": own.late, "worst, ms of it": 1000 * own.worst,
            "pace by processor time": played * BLOCK / rate / max(used - first, 1e-9), "complaints": len(complaints),
            "MB after a minute": memory[0], "most MB": max(memory), "MB at the end": memory[-1]}


class Card:
    """A sound card with room for so many blocks, one of which it plays each `step` seconds of some clock.

    Full at 0, when it begins to play; when the next block is late, it waits for it.
    """

    def __init__(self, blocks: int, step: float) -> None:
        self._blocks, self._step = blocks, step
        self.late, self.worst, self.last, self._waited = 0, 0.0, 0.0, 0.0

    def room(self, block: int) -> float:
        """When there is room for this block, seconds."""
        return self._waited + (block + 1) * self._step

    def take(self, block: int, now: float) -> None:
        """Block number `block` has come."""
        late = now - (self._waited + (block + self._blocks) * self._step)
        self.last = now
        if late > 0:
            self.late, self.worst, self._waited = self.late + 1, max(self.worst, late), self._waited + late


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


def random_lines(sliders: list[str]) -> Iterator[bytes]:
    """Control lines without end: mostly sliders, sometimes wander or another seed."""
    rng = np.random.default_rng(0)
    while True:
        choice = rng.integers(10)
        if choice == 0 or not sliders:
            yield f"wander {rng.uniform():.3f}\n".encode()
        elif choice == 1:
            yield f"seed {rng.integers(100)}\n".encode()
        else:
            yield f"slider {sliders[rng.integers(len(sliders))]} {rng.uniform(-8, 8):.2f}\n".encode()


def _listen(stderr: IO[bytes], told: list[bytes]) -> None:
    told.extend(stderr)


def _read(stdout: IO[bytes], blocks: int) -> None:
    if len(stdout.read(4 * BLOCK * blocks)) != 4 * BLOCK * blocks:
        raise SystemExit("the sound ended early")


def _resident(pid: int) -> float:
    """Memory in use, MB."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(told) / 1024


def _processor_clock(pid: int) -> int:
    """The clock that counts the processor time of another process (Linux: its number in the clock's upper bits)."""
    return (~pid << 3) | 2


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
