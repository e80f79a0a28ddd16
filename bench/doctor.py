"""Prints what doctor costs beside a bare interpreter, and its peak of memory: full journals, a journal as text: python bench/doctor.py [ROUNDS] [MB OF JOURNAL]."""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import cost
from bench.full_node import CONTAINERD, KERNEL, KUBELET, build, said

LINES = 15_000
SPEAKERS = {"kubelet[812]": KUBELET, "containerd[640]": CONTAINERD, "kernel": KERNEL}


def noise(path: str, size: int) -> str:
    """What programs of a healthy node say, that many bytes of it, as journalctl prints it."""
    chance = random.Random(11)
    speakers = chance.choices([*SPEAKERS], k=20_000)
    lines = [f"node1 {speaker}: {said(SPEAKERS[speaker], chance)}" for speaker in speakers]
    with open(path, "w", encoding="utf-8") as file:
        while file.tell() < size:
            file.write(
                "".join(
                    f"2026-11-26T07:{chance.randrange(60):02}:{chance.randrange(60):02}+0000 {line}\n" for line in lines
                )
            )
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
            f"{megabytes} MB of journal": [*doctor, "--log", noise(f"{folder}/noise", megabytes * 10**6)],
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
