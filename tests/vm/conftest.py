"""Booted nodes for the tests of this folder; skipped with the reason where none can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.debian import Unavailable
from tests.vm.image import Kind, disk
from tests.vm.machine import Machine

LIFE_S = 2400
NewMachine = Callable[[Kind], Machine]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("root")
            item.add_marker("vm")


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewMachine]:
    """Boots a node of a kind, once its disk is built; each ends with the module."""
    machines: list[Machine] = []

    def new(kind: Kind) -> Machine:
        try:
            made = disk(kind)
        except Unavailable as reason:
            pytest.skip(f"no booted node: {reason}")
        machines.append(Machine(tmp_path_factory.mktemp(kind.name) / "node", LIFE_S))
        machines[-1].start(made)
        machines[-1].up()
        return machines[-1]

    yield new
    for machine in machines:
        machine.power_off()
