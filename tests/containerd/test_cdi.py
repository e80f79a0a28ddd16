"""CDI on Debian's real containerds 1.7 and 2.1: the nodes of our file are in a running container, and their library judges as ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab import busybox, cdi_cases, containerds, debian, wheels

TOP = Path(__file__).parents[2]
UNSHARE = ("unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc")
pytestmark = [pytest.mark.containerd, pytest.mark.root]


@pytest.fixture(scope="session")
def parts() -> dict[str, Path]:
    try:
        return {**containerds.fetch(), "busybox": busybox.fetch(), "grpc": wheels.fetch("grpcio")}
    except debian.Unavailable as reason:
        pytest.skip(f"not to be had: {reason}")


def on_node(parts: dict[str, Path], suite: str, scenario: str) -> dict[str, Any]:
    runc = parts["bookworm"] / "usr/sbin/runc"
    argv = (*UNSHARE, str(TOP / "tests/containerd/node.sh"), str(parts[suite]), str(TOP / "tests/standins/containerd"),
            sys.executable, "-m", "tests.containerd.cdi_node", scenario, str(parts["busybox"]), str(runc))  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'src'}:{parts['grpc']}"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_the_nodes_of_our_file_are_in_the_container(parts: dict[str, Path], suite: str) -> None:
    found = on_node(parts, suite, "injected")
    if "impossible" in found:
        pytest.skip(f"no container can run here: {found['impossible']}")
    assert found["oci"]["/dev/vfio/12"] == ["c", 1, 7]
    assert found["oci"]["/dev/vfio/devices/vfio3"] == ["c", 1, 9]
    assert found["inside"] == {
        "/dev/vfio/vfio": "character special file 1:5",
        "/dev/vfio/12": "character special file 1:7",
        "/dev/vfio/devices/vfio3": "character special file 1:9",
    }
    assert found["opened"] == "\0" * 4
    assert "unresolvable CDI devices nvidia.com/pgpu=25" in found["unknown"]


def test_containerds_library_refuses_what_ours_refuses_in_the_same_words(parts: dict[str, Path]) -> None:
    found = on_node(parts, "sid", "refused")
    silent = [case.said for case in cdi_cases.BROKEN if case.theirs not in found[case.said].replace('\\"', '"')]
    assert silent == [], found[silent[0]]
