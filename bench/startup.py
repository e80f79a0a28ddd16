"""Prints what starting caasctl and looking at this host cost beside a bare interpreter, measured in turns in one run: python bench/startup.py [ROUNDS]."""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

CAASCTL = str(Path(sysconfig.get_path("scripts")) / "caasctl")
VERDICTS = (0, 1, 4, 6)  # what a preflight or a dry run of a healthy caasctl may say of this host
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import caasctl.cli": [sys.executable, "-c", "import caasctl.cli"],
    "caasctl version": [CAASCTL, "version"],
    "caasctl --help": [CAASCTL, "--help"],
    "caasctl preflight": [CAASCTL, "preflight"],
    "caasctl init-node --dry-run": [CAASCTL, "init-node", "--dry-run"],
}


def milliseconds(argv: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in VERDICTS:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}")
    return (time.perf_counter() - start) * 1000


def main(rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, argv in COMMANDS.items():
            taken[name].append(milliseconds(argv))
    bare = statistics.median(taken["bare interpreter"])
    print(f"{'':27} {'median':>9} {'fastest':>9} {'over bare':>10} {'ratio':>6}   ({rounds} rounds)")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:27} {median:6.0f} ms {min(times):6.0f} ms {median - bare:+7.0f} ms {median / bare:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
