"""A write seen while it happens: the calls into the kernel are watched, none is replaced."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from caasctl.host import LiveHost

Seen = list[
    tuple[str, str, int]
]  # call, text at the path at that moment ("-": nothing there), mode of the temporary file


def watch(folder: Path, change: Callable[[], None]) -> Seen:
    """What lies in the folder as file `x` whenever a call that writing needs is about to be made."""
    seen: Seen = []

    def look(_frame: FrameType, event: str, call: Any) -> None:
        if event == "c_call" and call.__name__ in ("fchmod", "fsync", "rename"):
            there, temporary = folder / "x", folder / ".x.caasctl-new"
            text = there.read_text() if there.exists() else "-"
            seen.append((call.__name__, text, temporary.stat().st_mode & 0o777 if temporary.exists() else 0))

    sys.setprofile(look)
    try:
        change()
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize("before", ["-", "old"])
def test_a_file_is_on_disk_before_it_takes_its_place_and_its_place_is_on_disk_after(
    tmp_path: Path, before: str
) -> None:
    if before != "-":
        (tmp_path / "x").write_text(before)
    seen = watch(tmp_path, lambda: LiveHost(str(tmp_path)).write("/x", b"new", 0o644))
    assert seen == [
        ("fchmod", before, 0o600),  # nobody else reads it until it is whole
        ("fsync", before, 0o644),
        ("rename", before, 0o644),
        ("fsync", "new", 0),
    ]


def test_a_removal_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    assert watch(tmp_path, lambda: LiveHost(str(tmp_path)).remove("/x")) == [("fsync", "-", 0)]


@pytest.mark.root
def test_a_file_stays_its_owners(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    os.chown(tmp_path / "x", 1234, 4321)
    LiveHost(str(tmp_path)).write("/x", b"new", 0o640)
    there = (tmp_path / "x").stat()
    assert (there.st_uid, there.st_gid, there.st_mode & 0o777) == (1234, 4321, 0o640)


def test_what_takes_long_can_say_where_it_is(tmp_path: Path) -> None:
    heard: list[str] = []
    LiveHost(str(tmp_path), progress=heard.append).say("cilium 0/1 ready")
    assert heard == ["cilium 0/1 ready"]


@pytest.mark.root
def test_a_file_for_another_user_is_his_with_the_folders_that_are_made(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    host.write("/home/ann/.kube/config", b"x", 0o600, (1234, 1235))
    owners = [(tmp_path / path).stat() for path in ("home/ann", "home/ann/.kube", "home/ann/.kube/config")]
    assert [(there.st_uid, there.st_gid) for there in owners] == [(1234, 1235)] * 3
    host.write("/home/ann/.kube/config", b"y", 0o600, (1234, 1235))
    assert (tmp_path / "home/ann/.kube/config").stat().st_uid == 1234
