"""Reset on Debian's real GRUB tools: the menu of before, byte for byte, and the boot that somebody else asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.grub.test_real import NO_PROBE, TOP
from tests.lab import debian, grub

pytestmark = [pytest.mark.root]


@pytest.fixture(scope="session")
def tree() -> Path:
    try:
        return grub.fetch()
    except debian.Unavailable as reason:
        pytest.skip(f"Debian's GRUB is not to be had: {reason}")


def on_node(tree: Path, *words: str) -> dict[str, Any]:
    argv = (
        "unshare",
        "-m",
        str(TOP / "tests/grub/node.sh"),
        str(tree),
        sys.executable,
        "-m",
        "tests.grub.reset_node",
        *words,
    )
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'src'}"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, timeout=90, check=False)
    if done.returncode == NO_PROBE:
        pytest.skip(f"grub-probe finds no device below / here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["debian", "cloud-image", "no-drop-in-folder"])
def test_the_menu_is_that_of_before_byte_for_byte(tree: Path, case: str) -> None:
    found = on_node(tree, case, "caasctl-trial")
    assert found["changed"]
    assert found["first"] == ["grubenv:next_entry", "grub"]
    assert found["same"]
    assert found["left"] == []
    assert found["again"] == []
    assert found["environment"].split() == ["saved_entry=theirs"]


def test_a_boot_that_somebody_else_asked_for_stays_asked_for(tree: Path) -> None:
    found = on_node(tree, "debian", "theirs")
    assert found["first"] == ["grub"]
    assert "next_entry=theirs" in found["environment"]
