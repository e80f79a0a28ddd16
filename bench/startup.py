"""Prints what starting caasctl costs beside a bare interpreter, measured in turns in one run: python bench/startup.py [ROUNDS]."""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

CAASCTL = str(Path(sysconfig.get_path("scripts")) / "caasctl")
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import caasctl.cli": [sys.executable, "-c", "import caasctl.cli"],
    "caasctl version": [CAASCTL, "version"],
    "caasctl --help": [CAASCTL, "--help"],
}


def milliseconds(argv: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def main(rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, argv in COMMANDS.items():
            taken[name].append(milliseconds(argv))
    bare = statistics.median(taken["bare interpreter"])
    print(f"{'':20} {'median':>9} {'fastest':>9} {'over bare':>10} {'ratio':>6}   ({rounds} rounds)")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:20} {median:6.0f} ms {min(times):6.0f} ms {median - bare:+7.0f} ms {median / bare:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
