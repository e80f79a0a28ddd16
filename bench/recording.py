"""Prints what a recording of a node with full journals costs beside a bare `tar czf` of the same data, in turns: python bench/recording.py [ROUNDS] [MIB]."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.full_node import build


def seconds(argv: list[str], made: str) -> float:
    """Processor time, which a busy machine changes less."""
    Path(made).unlink(missing_ok=True)
    before = os.times()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(rounds: int, mib: int) -> None:
    folder = tempfile.mkdtemp(prefix="caasctl-bench-")
    try:
        host = build(folder, size=mib << 20)
        made = f"{folder}/made.tar.gz"
        commands = {
            "tar czf": ["tar", "-czf", made, "-C", host, "."],
            "caasctl facts (no recording)": [sys.executable, "-m", "caasctl", "facts", "--facts", host],
            "caasctl facts --record": [sys.executable, "-m", "caasctl", "facts", "--facts", host, "--record", made],
        }
        begun = time.monotonic()
        taken = {name: [seconds(argv, made) for _ in range(rounds)] for name, argv in commands.items()}
        size = os.path.getsize(f"{host}/commands.json") / (1 << 20)
        bare = statistics.median(taken["tar czf"])
        print(
            f"{size:.1f} MiB of commands' output, {rounds} rounds in {time.monotonic() - begun:.0f} s, processor time:"
        )
        for name, times in taken.items():
            median = statistics.median(times)
            print(f"{name:29} {median:6.2f} s  {median / size:6.3f} s/MiB  ratio {median / bare:5.1f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*(*words, *(3, 8)[len(words) :]))
