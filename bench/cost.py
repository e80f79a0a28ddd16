"""What a command costs, and several of them beside each other, run in turns so that all meet the same machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

VERDICTS = (0, 1, 4, 6)  # what a healthy caasctl may say of a host


class Cost(NamedTuple):
    """processor_s: of the command and all that it waited for; a busy machine changes that less than the time that passed."""

    wall_s: float
    processor_s: float
    peak_mib: float


def cost(argv: Sequence[str], ends_with: Sequence[int] = VERDICTS, environment: Mapping[str, str] | None = None) -> Cost:  # fmt: skip
    """Raises SystemExit where it ends with another exit status."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ends_with:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def beside(commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str] | None = None) -> None:
    """Prints what each costs, and its ratio to the first."""
    taken: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, argv in commands.items():
            taken[name].append(cost(argv, environment=environment))
    medians = {name: [statistics.median(each) for each in zip(*costs, strict=True)] for name, costs in taken.items()}
    first = next(iter(medians.values()))
    print(
        f"{'':38} {'wall':>9} {'ratio':>6}   {'processor':>9} {'ratio':>6}   {'peak':>8}   (medians of {rounds} rounds)"
    )
    for name, (wall, used, peak) in medians.items():
        print(f"{name:38} {wall * 1000:6.0f} ms {wall / first[0]:6.2f}   {used * 1000:6.0f} ms {used / first[1]:6.2f}   {peak:4.0f} MiB")  # fmt: skip
