"""Phase boot on Debian's real grub-mkconfig, each case in a mount namespace with an /etc and a /boot of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab import debian, grub

TOP = Path(__file__).parents[2]
NO_PROBE = 77  # node.sh's exit status where grub-probe finds no device below this machine's root
OURS = ["systemd.unified_cgroup_hierarchy=1", "cgroup_no_v1=all", "intel_iommu=on", "transparent_hugepage=madvise"]
pytestmark = [pytest.mark.root]


@pytest.fixture(scope="session")
def tree() -> Path:
    try:
        return grub.fetch()
    except debian.Unavailable as reason:
        pytest.skip(f"Debian's GRUB is not to be had: {reason}")


def on_node(tree: Path, scenario: str, case: str) -> dict[str, Any]:
    argv = (
        "unshare",
        "-m",
        str(TOP / "tests/grub/node.sh"),
        str(tree),
        sys.executable,
        "-m",
        "tests.grub.node",
        scenario,
        case,
    )
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'src'}"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, timeout=90, check=False)
    if done.returncode == NO_PROBE:
        pytest.skip(f"grub-probe finds no device below / here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("case", "theirs"),
    [
        ("debian", ["quiet"]),
        ("cloud-image", ["console=tty1", "console=ttyS0", "nvme_core.io_timeout=4294967295", "crashkernel=512M-:192M"]),
        ("curtin", ["console=ttyS1,115200n8"]),
        ("opposite", ["systemd.unified_cgroup_hierarchy=0", "audit=1", "quiet", "intel_iommu=off"]),
        ("quoted", ["quiet", "dyndbg=file ec.c +p"]),
        ("no-drop-in-folder", ["quiet"]),
        ("no-defaults", []),
    ],
)
def test_normal_entries_have_the_users_arguments_and_then_ours(tree: Path, case: str, theirs: list[str]) -> None:
    found = on_node(tree, "converge", case)
    assert found["first"] == ["grub"]
    assert len(found["normal"]) == 3
    for before, after in zip(found["before"]["normal"], found["normal"], strict=True):
        assert before[-len(theirs) :] == theirs or not theirs
        assert after == before + OURS
    assert found["recovery"] == found["before"]["recovery"]
    assert len(found["recovery"]) == 2
    assert found["second"] == []
    assert found["same"]
    assert found["leftovers"] == []


def test_what_the_user_has_in_effect_is_not_doubled(tree: Path) -> None:
    found = on_node(tree, "converge", "already-there")
    assert found["normal"] == [[*before, "cgroup_no_v1=all", OURS[-1]] for before in found["before"]["normal"]]
    assert found["second"] == []
    assert found["same"]


def test_a_menu_older_than_what_the_user_asks_for_is_generated_without_a_drop_in(tree: Path) -> None:
    found = on_node(tree, "pending", "complete")
    assert found["first"] == ["grub"]
    assert found["second"] == []
    assert found["drop_in"] == ""
    assert all("intel_iommu=on" in entry for entry in found["normal"])


def test_a_run_killed_before_update_grub_is_finished_by_the_next(tree: Path) -> None:
    found = on_node(tree, "killed", "cloud-image")
    assert found["first"] == ["grub"]
    assert found["second"] == []
    assert all(entry[-4:] == OURS for entry in found["normal"])


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("syntax-error", "/etc/default/grub.d/90-user.cfg:2"),
        ("clobbered", "/etc/default/grub.d/zzz-site.cfg:2"),
        ("initargs", "take `--` out of GRUB_CMDLINE_LINUX"),
        ("failing-command", "/etc/default/grub.d/90-user.cfg:1"),
    ],
)
def test_what_stands_in_the_way_is_named_and_nothing_is_left_behind(tree: Path, case: str, named: str) -> None:
    found = on_node(tree, "refused", case)
    assert named in found["problem"] + found["cause"] + found["fix"]
    assert found["fix"]
    assert not {*OURS} & {argument for entry in found["normal"] for argument in entry}
    assert found["kept"]
    assert "either" not in found["problem"]
    assert found["drop_in"] == ""
    assert found["leftovers"] == []


def test_arguments_that_are_not_wanted_any_more_leave(tree: Path) -> None:
    found = on_node(tree, "withdrawn", "debian")
    assert found["gone"] == ["grub"]
    assert all(entry[-1] == "quiet" for entry in found["after"]["normal"])
    assert found["after"]["drop_in"] == ""


def test_a_run_killed_after_the_removal_is_finished_by_the_next(tree: Path) -> None:
    found = on_node(tree, "withdrawn", "debian")
    assert found["again"] == ["grub"]
    assert found["idle"] == []
    assert not any("intel_iommu=on" in entry for entry in found["normal"])
