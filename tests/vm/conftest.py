"""Booted nodes for the tests of this folder; skipped with the reason where none can be had."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.lab.debian import Unavailable
from tests.vm.image import Kind, disk
from tests.vm.machine import INTEL, Machine

LIFE_S = 3600
ALWAYS = "test_bookworm.py"
BUDGET_S = 13 * 60.0  # for the tests of this folder in CI, with the building of their disks
NewMachine = Callable[..., Machine]
_BEGUN: list[float] = []
_OUT: set[Path] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI the whole way of a node always has its turn, the others in the order of chance, as far as the time goes."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker("root")
        item.add_marker("vm")
    if os.environ.get("CI"):
        chance = {item.path: random.random() for item in ours}
        chance[Path(__file__).with_name(ALWAYS)] = 0
        ours.sort(key=lambda item: chance[item.path])
        items[:] = [*(item for item in items if item not in ours), *ours]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out, in CI, what would not come to its end in time, and what follows it in its file.

    The mark `minutes` says how long a test takes on a machine that rests, its node's disk and boot among it.
    """
    if Path(__file__).parent not in item.path.parents or not os.environ.get("CI"):
        return
    _BEGUN.append(time.monotonic())
    left_s = BUDGET_S - (time.monotonic() - _BEGUN[0])
    mark = item.get_closest_marker("minutes")
    needs_s = 60.0 * mark.args[0] if mark else 60.0
    if item.path in _OUT or needs_s > left_s:
        _OUT.add(item.path)
        pytest.skip(
            f"left out in CI: {max(left_s, 0):.0f} s are left, it takes {needs_s:.0f}; `./dev test tests/vm` runs all"
        )


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewMachine]:
    """Boots a node of a kind, once its disk is built; each ends with the module."""
    machines: list[Machine] = []

    def new(kind: Kind, hardware: Sequence[str] = INTEL) -> Machine:
        try:
            made = disk(kind)
        except Unavailable as reason:
            pytest.skip(f"no booted node: {reason}")
        machines.append(Machine(tmp_path_factory.mktemp(kind.name) / "node", LIFE_S))
        machines[-1].start(made, hardware)
        machines[-1].up()
        return machines[-1]

    yield new
    for machine in machines:
        machine.power_off()
