"""Prints what hosts with 1,024 and 4,096 PCI functions cost beside each other: as root, python bench/functions.py [ROUNDS]."""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.lab.pci_tree import GIB, Function, build, gpu, port, text

COUNTS = (1024, 4096)
COMMANDS = (("facts",), ("preflight",), ("gpu", "list"))
VERDICTS = (0, 1, 6)
MOST = 4.0  # the design's: four times as many functions take at most four times as long
VIRTUAL = 12  # in sixteen functions: most of what a host with thousands has are virtual ones


def functions(count: int) -> Iterator[Function]:
    """Sixteen to a root port: a GPU, two network functions, the virtual functions of one of them."""
    for place in range(count // 16):
        bus, domain = place % 128 * 2, 0x10000 + place // 128
        above, card = f"{domain:05x}:{bus:02x}:00.0", f"{domain:05x}:{bus + 1:02x}"
        yield port(above, str(place * 20))
        yield gpu(f"{card}:00.0", "10de:2236", str(place * 20 + 1), (above,), memory=32 * GIB)
        for number in range(2):
            yield Function(
                f"{card}:01.{number}", "15b3:1017", "020000", "mlx5_core", str(place * 20 + 2 + number), (above,)
            )
        physical = f"/sys/devices/pci{domain:05x}:{bus:02x}/{above}/{card}:01.0"
        for number in range(VIRTUAL):
            yield Function(f"{card}:{2 + number // 8:02x}.{number % 8}", "15b3:1018", "020000", "mlx5_core",
                           str(place * 20 + 4 + number), (above,), links={"physfn": physical})  # fmt: skip


def tree(count: int) -> Path:
    top = build(Path(tempfile.mkdtemp(prefix="caasctl-bench-")), functions(count))
    text(top, "/sys/class/iommu/dmar0/address", "")
    text(top, "/sys/firmware/acpi/tables/DMAR", "DMAR")
    return top


def milliseconds(top: Path, words: tuple[str, ...]) -> float:
    """caasctl as on a host with that /sys: a tree at --root costs a walk through its links for each file."""
    command = shlex.join([sys.executable, "-m", "caasctl", *words])
    start = time.perf_counter()
    done = subprocess.run(["unshare", "-m", "sh", "-c", f'mount --rbind "$0"/sys /sys && exec {command}', str(top)],
                          check=False, stdout=subprocess.DEVNULL)  # fmt: skip
    if done.returncode not in VERDICTS:
        raise SystemExit(f"{command} ended with {done.returncode}")
    return (time.perf_counter() - start) * 1000


def main(rounds: int) -> None:
    tops = {count: tree(count) for count in COUNTS}
    try:
        for words in COMMANDS:
            taken = {count: [milliseconds(top, words) for _ in range(rounds)] for count, top in tops.items()}
            few, many = (statistics.median(taken[count]) for count in COUNTS)
            print(
                f"{' '.join(words):10} {COUNTS[0]}: {few:5.0f} ms   {COUNTS[1]}: {many:5.0f} ms   ratio {many / few:.2f} (at most {MOST:.0f})"
            )
    finally:
        for top in tops.values():
            shutil.rmtree(top)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
