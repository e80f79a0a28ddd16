"""Nodes of stand-ins for the tests of this folder; skipped with the reason where none can be had."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.host import UNSHARE, Host, Programs, programs
from tests.lab import debian

NewHost = Callable[..., Host]


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder: Path = tmp_path_factory.mktemp("node")
    try:
        made = programs(folder)
    except debian.Unavailable as reason:
        pytest.skip(f"no node of stand-ins: {reason}")
    tried = subprocess.run(
        (*UNSHARE, "ip", "link", "add", "name", "veth-a", "type", "veth"), capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no network namespace with links of its own: {tried.stderr.strip()}")
    return made


@pytest.fixture
def new_host(found: Programs) -> Iterator[NewHost]:
    hosts: list[Host] = []

    def make(address: str = "10.1.0.5/24", router: str = "10.1.0.1") -> Host:
        hosts.append(Host(found, address, router))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: NewHost) -> Host:
    return new_host()
