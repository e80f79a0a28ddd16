"""Trial boots on Debian's real grub-mkconfig, grub-reboot, grub-editenv and grub-probe, /boot on ext4; the boot itself is read from the menu."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.grub.test_real import NO_PROBE, OURS, TOP, tree

__all__ = ["tree"]
NO_DISK = 78  # disk.sh's exit status where this machine gives no loop device
pytestmark = [pytest.mark.root]


def on_node(tree: Path, scenario: str, case: str = "debian") -> dict[str, Any]:
    scripts = (str(TOP / "tests/grub/node.sh"), str(tree), str(TOP / "tests/grub/disk.sh"))
    argv = ("unshare", "-m", *scripts, sys.executable, "-m", "tests.grub.trial_node", scenario, case)
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'src'}"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode in {NO_PROBE, NO_DISK}:
        pytest.skip(f"no file system of its own for /boot here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["cloud-image", "quoted"])
def test_arguments_are_tried_once_and_then_permanent_by_the_same_command(tree: Path, case: str) -> None:
    found = on_node(tree, "converges", case)
    before, armed = found["before"]["normal"], found["armed"]
    assert armed["exit"] == 4
    assert armed["normal"] == before
    assert armed["drop_in"] == ""
    assert armed["trial"] == before[0] + OURS
    assert armed["script"] == "0o755"
    assert armed["environment"] == {"next_entry": "caasctl-trial"}
    assert "power-cycle it: it boots as before" in armed["message"]
    assert "the next boot has them, by the menu entry" in armed["findings"]["boot.cmdline_pending"]
    assert (found["again"]["exit"], found["again"]["changed"]) == (4, [])  # not rebooted yet
    assert found["again"]["message"] == f"not rebooted yet since run run asked for it: {armed['message']}"
    assert {**found["again"], "changed": (), "message": ""} == {**armed, "changed": (), "message": ""}
    assert found["trial"] == {"entry": "caasctl-trial"}
    permanent = found["permanent"]
    assert (permanent["exit"], permanent["changed"]) == (0, ["grub"])
    assert permanent["normal"] == [entry + OURS for entry in before]
    assert (permanent["script"], permanent["trial"], permanent["environment"]) == (None, None, {})
    assert found["normal"]["entry"] != "caasctl-trial"
    for later in ("third", "fourth"):
        assert (found[later]["exit"], found[later]["changed"]) == (0, [])
    assert not any(found[step]["leftovers"] for step in ("armed", "permanent", "fourth"))


def test_a_trial_that_hangs_is_gone_after_a_power_cycle_and_can_be_armed_again(tree: Path) -> None:
    found = on_node(tree, "hangs")
    assert found["first"] == "caasctl-trial"
    assert found["after"] != "caasctl-trial"
    assert not [argument for argument in OURS if argument in found["cmdline"]]
    assert found["left"]["drop_in"] == ""
    assert found["again"]["exit"] == 4
    assert found["armed"]["environment"] == {"next_entry": "caasctl-trial"}
    assert (found["second"], found["permanent"]["exit"]) == ("caasctl-trial", 0)
    assert all(entry[-4:] == OURS for entry in found["normal"])


def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(tree: Path) -> None:
    found = on_node(tree, "killed")
    assert found["wrong"] == []
    assert min(found["moments"]) >= 5


def test_undo_takes_back_the_trial_to_the_byte_and_leaves_what_another_has_armed(tree: Path) -> None:
    found = on_node(tree, "withdrawn")
    assert found["armed"] == {"left": [], "same": True}
    assert found["foreign"] == {"next_entry": "0"}
    assert found["same"]


def test_another_one_time_boot_is_not_replaced(tree: Path) -> None:
    found = on_node(tree, "another")
    assert (found["exit"], found["changed"]) == (1, [])
    assert found["findings"]["boot.one_time_entry"] == "next_entry=1>2 in /boot/grub/grubenv"
    assert "to be started once: 1>2" in found["said"]
    assert "grub-editenv /boot/grub/grubenv unset next_entry" in found["said"]
    assert found["kept"]


def test_the_entry_that_is_tried_is_the_one_that_the_user_has_saved(tree: Path) -> None:
    found = on_node(tree, "saved")
    assert found["kernel"].endswith("6.1.0-40-amd64")
    assert found["environment"] == {"saved_entry": "1>2", "next_entry": "caasctl-trial"}
    assert "savedefault" not in found["text"]
    assert found["trial_boot"] == "caasctl-trial"
    assert found["permanent"]["exit"] == 0
    assert "6.1.0-40-amd64" in found["cmdline"]
    assert found["cmdline"].split()[-4:] == OURS


@pytest.fixture(scope="module")
def changed(tree: Path) -> dict[str, Any]:
    return on_node(tree, "changed")


def test_other_arguments_are_tried_without_the_old_ones_and_fewer_are_not_tried(changed: dict[str, Any]) -> None:
    armed, permanent, fewer = (changed[step] for step in ("armed", "permanent", "fewer"))
    assert armed["exit"] == 4
    assert armed["trial"][-4:] == [*OURS[:3], "audit=0"]
    assert OURS[-1] not in armed["trial"]
    assert all(entry[-4:] == OURS for entry in armed["normal"])
    assert OURS[-1] in armed["drop_in"]
    assert (permanent["exit"], permanent["normal"][0][-4:]) == (0, [*OURS[:3], "audit=0"])
    assert (fewer["exit"], fewer["changed"]) == (0, ["grub"])


def test_a_kernel_that_is_removed_while_the_trial_is_armed_takes_the_entry_with_it(changed: dict[str, Any]) -> None:
    assert changed["gone"]["trial"] is None
    assert changed["boots"] not in {"", "caasctl-trial"}


def test_an_edit_of_the_users_that_never_reached_the_menu_does_not_keep_the_trial_from_being_armed(tree: Path) -> None:
    found = on_node(tree, "stale")
    assert (found["armed"]["exit"], found["again"]["exit"]) == (4, 4)
    assert found["armed"]["trial"][-4:] == OURS
    assert "loglevel=3" in found["armed"]["normal"][0]
    assert "grub" not in found["again"]["changed"]
