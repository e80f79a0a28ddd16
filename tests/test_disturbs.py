"""Whatever looks at a file that a phase writes is stale after that phase: seen on every recorded host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from caasctl import engine, profile_load
from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts import PROBES
from caasctl.model import FactUnread, Unreadable
from caasctl.phases import ORDER
from caasctl.protocol import Phase, Probe, Resource
from caasctl.resources.files import owned_files
from caasctl.resources.kernel import KernelModule, SwapOff, Sysctl
from caasctl.syntax import sysctl

HOSTS = sorted(path.parent for path in (Path(__file__).parent / "hosts").glob("*/manifest.json"))
PROFILE = profile_load.load()


class Watching(BundleHost):
    """A recorded host that keeps what it is asked to read or list."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.asked: set[str] = set()

    def read_bytes(self, path: str) -> bytes | None:
        self.asked.add(path)
        return super().read_bytes(path)

    def list(self, path: str) -> tuple[str, ...] | None:
        self.asked.add(path)
        return super().list(path)


def looked_at(probe: Probe, folder: Path) -> frozenset[str]:
    """Paths that a probe reads or lists, as far as it comes there."""
    host = Watching(str(folder))
    with suppress(Unreadable):
        probe.read(host)
    return frozenset(host.asked)


def changed(resource: Resource) -> Iterator[str]:
    """Paths where a change of the resource shows: its files, and the kernel's own."""
    yield from (file.path for file in owned_files(resource))
    if isinstance(resource, Sysctl):
        yield sysctl.proc_path(resource.key)
    if isinstance(resource, KernelModule):
        yield from ("/proc/modules", f"/sys/module/{resource.module}")
    if isinstance(resource, SwapOff):
        yield "/proc/swaps"


def written(phase: Phase, folder: Path) -> frozenset[str]:
    """Paths that a phase would change; none where it cannot be planned."""
    try:
        resources = tuple(phase.desired(engine.collect(RecordingHost(BundleHost(str(folder)))), PROFILE))
    except FactUnread:
        return frozenset()
    return frozenset(path for resource in resources for path in changed(resource))


@pytest.mark.parametrize("folder", HOSTS, ids=lambda folder: folder.name)
def test_a_probe_that_looks_where_a_phase_writes_is_disturbed_by_it(folder: Path) -> None:
    places = {phase.id: written(phase, folder) for phase in ORDER}
    missed = []
    for probe in PROBES:
        seen = looked_at(probe, folder)
        for phase in ORDER:
            near = {path for path in places[phase.id] if path in seen or path.rpartition("/")[0] in seen}
            if near and probe.fact not in phase.disturbs:
                missed.append((phase.id, probe.fact.__name__, sorted(near)))
    assert missed == []


def test_every_phase_writes_on_some_recorded_host() -> None:
    for phase in ORDER:
        assert any(written(phase, folder) for folder in HOSTS), phase.id
