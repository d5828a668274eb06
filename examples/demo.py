"""`make demo`: train on corpus/demo, export, generate, and draw what came out beside what went in.

Runs the three commands as a user would, each in its own process, and ends with a table. Everything goes to build/demo.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus" / "demo")
    parser.add_argument("--minutes", default="2", help="of training")
    parser.add_argument("--seconds", default="10", help="of sound")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo")
    parser.add_argument("--record", action="store_true", help="put the table and the picture into the README")
    arguments = parser.parse_args()
    out: Path = arguments.output
    out.mkdir(parents=True, exist_ok=True)
    run, bundle, wav, png = out / "run", out / "vibraphone", out / "demo.wav", out / "demo.png"

    step("1/4  training", f"distill-train {shown(arguments.corpus)} -o {shown(run)} --minutes {arguments.minutes}")
    started = time.perf_counter()
    trained = command("distill-train", arguments.corpus, "-o", run, "--minutes", arguments.minutes, "--seed", 1,
                      "--force", "--json")
    training_seconds = time.perf_counter() - started

    step("2/4  export", f"distill-export {shown(run)} -o {shown(bundle)}")
    exported = command("distill-export", run, "-o", bundle, "--name", "vibraphone", "--license", "CC0-1.0", "--force",
                       "--json")

    step("3/4  sound", f"distill generate {shown(bundle)} -o {shown(wav)} --seconds {arguments.seconds} --seed 1")
    made = command("distill", "generate", bundle, "-o", wav, "--seconds", arguments.seconds, "--seed", 1, "--force",
                   "--json")["files"][0]

    step("4/4  picture", shown(png))
    original = next(iter(sorted(arguments.corpus.rglob("*.flac"))))
    from picture import compare

    compare(original, wav, png)

    parity = exported["sidecar"]["files"][0]["parity"]
    rows = [
        ("training", f"{training_seconds:.0f} s, {trained['steps']} steps"),
        ("bundle", f"{exported['bytes'] / 1e6:.1f} MB"),
        ("parity", f"max error {parity['max_error']:.1e}, SNR {parity['snr_db']:.0f} dB, "
                   f"LSD {parity['lsd_db']:.3f} dB"),
        ("real-time factor", f"{made['real_time_factor']:.0f} (one thread, writing included)"),
        ("level", f"peak {made['peak_db']:.1f} dBFS, RMS {made['rms_db']:.1f} dBFS"),
        ("sound", shown(wav)),
        ("picture", shown(png)),
    ]
    print()
    for name, value in rows:
        print(f"  {name:<18}{value}")
    if arguments.record:
        record(rows[:5], png)
    if made["rms_db"] < -60 or made["clipped"]:
        sys.exit("demo: the sound is silent or clipped; something is wrong")


def record(rows: list[tuple[str, str]], png: Path) -> None:
    """Replace the README's table and picture."""
    shutil.copy(png, ROOT / "docs" / "demo.png")
    begin, end = "<!-- demo:begin -->", "<!-- demo:end -->"
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    before, rest = (ROOT / "README.md").read_text().split(begin)
    (ROOT / "README.md").write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}")


def command(*words: object) -> dict:
    """Run one of our commands; its progress goes to the terminal, its JSON comes back."""
    finished = subprocess.run([str(BIN / str(words[0])), *map(str, words[1:])], stdout=subprocess.PIPE, check=False,
                              env={**os.environ, "PYTHONUNBUFFERED": "1"})
    if finished.returncode:
        sys.exit(finished.returncode)
    return json.loads(finished.stdout)


def step(title: str, text: str) -> None:
    print(f"\n{title}: {text}", flush=True)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    main()
