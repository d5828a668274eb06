"""`--play`, through PortAudio and ALSA into a file: python -m bench.play [MODEL] [--words "--channels 2"].

No sound card is needed: ALSA's own `file` device, on top of its `null` device, is made this program's default, and
what `distill generate --play` hands to it is compared with what `-o -` gives. Needs the extra [play] and, on Linux,
libportaudio2.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BIN = Path(sys.executable).parent
CONFIGURATION = """\
pcm.!default { type plug slave.pcm "written" }
pcm.written { type file slave.pcm "nobody" file "%s" format "raw" }
pcm.nobody { type null }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--words", default="", help="further flags for distill generate")
    asked = parser.parse_args()
    make = [str(BIN / "distill"), "generate", *([asked.model] if asked.model else []), "--seconds", "3", "--seed", "1",
            *asked.words.split()]
    with tempfile.TemporaryDirectory() as folder:
        written, configuration = Path(folder) / "played.raw", Path(folder) / "asound.conf"
        configuration.write_text(CONFIGURATION % written)
        done = subprocess.run([*make, "--play"], env={**os.environ, "ALSA_CONFIG_PATH": str(configuration)},
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
        played = np.fromfile(written, "<f4")
    wanted = np.frombuffer(subprocess.run([*make, "-o", "-", "--raw"], stdin=subprocess.DEVNULL, capture_output=True,
                                          check=True).stdout, "<f4")
    if not np.array_equal(played, wanted):
        raise SystemExit(f"played {len(played)} values, made {len(wanted)}, and they differ")
    print(f"played {len(played)} values through PortAudio and ALSA: those that -o - gives, bit for bit")


if __name__ == "__main__":
    main()
