"""A host that reboots by itself is warned of."""

from __future__ import annotations

import pytest
from tests.checks.test_os import only

from caasctl.checks.os_upgrades import auto_reboot
from caasctl.facts.os_upgrades import AutoUpgrades
from caasctl.model import Level


@pytest.mark.parametrize("tool", ["", "unattended-upgrades", "dnf-automatic"])
def test_upgrades_without_reboots_pass(tool: str) -> None:
    assert only(auto_reboot, AutoUpgrades(tool)).level is Level.PASS


@pytest.mark.parametrize(
    ("tool", "fix"), [("unattended-upgrades", "99zz-no-reboot"), ("dnf-automatic", "reboot = never")]
)
def test_reboots_are_warned_of_with_the_line_that_stops_them(tool: str, fix: str) -> None:
    found = only(auto_reboot, AutoUpgrades(tool, reboots=True, source="/etc/x"))
    assert (found.level, found.found) == (Level.WARN, f"{tool} may, says /etc/x")
    assert found.fix
    assert fix in found.fix.text
