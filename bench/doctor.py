"""Prints what doctor costs beside a bare interpreter, and its peak of memory: full journals, pasted noise: python bench/doctor.py [ROUNDS] [MB OF NOISE]."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.full_node import CONTAINERD, KERNEL, KUBELET, build, said

LINES = 15_000
VERDICTS = (0, 1, 6)


class Cost(NamedTuple):
    wall_s: float
    processor_s: float
    peak_mib: float


def cost(argv: list[str]) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in VERDICTS:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def noise(path: str, size: int) -> str:
    """What programs of a healthy node say, that many bytes of it."""
    chance = random.Random(11)
    lines = [said((*KUBELET, *CONTAINERD, *KERNEL), chance) for _ in range(20_000)]
    with open(path, "w", encoding="utf-8") as file:
        while file.tell() < size:
            file.write("".join(f"{chance.randrange(10**9)} {line}\n" for line in lines))
    return path


def main(rounds: int, megabytes: int) -> None:
    folder = tempfile.mkdtemp(prefix="caasctl-bench-")
    doctor = [sys.executable, "-m", "caasctl", "doctor"]
    try:
        bare = [sys.executable, "-c", "pass"]
        commands = {
            "bare interpreter": bare,
            "a recording with no journals": [*doctor, "--facts", str(Path(__file__).resolve().parents[1] / "tests/hosts/already-a-node")],
            f"one with {LINES} lines": [*doctor, "--facts", build(folder, lines=LINES)],
            f"{megabytes} MB of pasted noise": [*doctor, "--log", noise(f"{folder}/noise", megabytes * 10**6)],
        }  # fmt: skip
        costs = {name: [cost(argv) for _ in range(rounds)] for name, argv in commands.items()}
        base = statistics.median(one.processor_s for one in costs["bare interpreter"])
        for name, taken in costs.items():
            wall, used, peak = (statistics.median(each) for each in zip(*taken, strict=True))
            print(
                f"{name:29} {wall:6.2f} s  processor {used:6.2f} s  ratio {used / base:6.1f}  at most {peak:4.0f} MiB"
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*(*words, *(3, 100)[len(words) :]))
