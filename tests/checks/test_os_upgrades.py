"""A host that reboots by itself is warned of."""

from __future__ import annotations

import pytest
from tests.checks.test_os import judge, only

from caasctl.checks.os_upgrades import auto_reboot, auto_upgrades, needrestart
from caasctl.facts.kubernetes_tools import Packages
from caasctl.facts.os_restarts import Needrestart, UnattendedPackages
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


SECURITY = UnattendedPackages(("origin=Debian,codename=${distro_codename}-security,label=Debian-Security",))
ON = AutoUpgrades("unattended-upgrades")
THERE = {"containerd": "1.6.20", "runc": "1.1.5", "kubelet": "1.36.4-1.1"}


def test_a_runtime_that_is_upgraded_at_night_is_warned_of_and_the_kubelet_of_a_repository_that_is_not_is_silent() -> (
    None
):
    found = only(auto_upgrades, ON, SECURITY, Packages(THERE, manager="dpkg"))
    assert (found.level, found.found) == (Level.WARN, "unattended-upgrades may upgrade containerd, runc")
    assert found.fix
    assert '"containerd$"; "runc$";' in found.fix.text


@pytest.mark.parametrize(
    ("told", "packages"),
    [
        (SECURITY, Packages(THERE, frozenset({"containerd", "runc"}), "dpkg")),
        (UnattendedPackages(SECURITY.origins, ("containerd", "runc$")), Packages(THERE, manager="dpkg")),
        (UnattendedPackages(("origin=Other",)), Packages(THERE, manager="dpkg")),
        (SECURITY, Packages({"containerd.io": "1.7"}, manager="dpkg")),
    ],
)
def test_what_is_held_blacklisted_or_from_elsewhere_passes(told: UnattendedPackages, packages: Packages) -> None:
    assert only(auto_upgrades, ON, told, packages).level is Level.PASS


def test_without_unattended_upgrades_or_runtimes_there_is_nothing_to_say() -> None:
    assert judge(auto_upgrades, AutoUpgrades(""), SECURITY, Packages(THERE)) == []
    assert judge(auto_upgrades, ON, SECURITY, Packages()) == []


def test_every_origin_brings_the_kubelet_too() -> None:
    assert "kubelet" in only(auto_upgrades, ON, UnattendedPackages(("*:*",)), Packages(THERE)).found


def test_needrestart_that_restarts_by_itself() -> None:
    found = only(needrestart, Needrestart(installed=True, mode="a", source="/etc/needrestart/x"))
    assert (found.level, found.found) == (Level.WARN, "restarts containerd.service, kubelet.service by itself")
    spared = Needrestart(installed=True, mode="a", source="/x", spared=(r"^(containerd|kubelet)\.service$",))
    assert only(needrestart, spared).level is Level.PASS
    half = Needrestart(installed=True, mode="a", source="/x", spared=("^containerd",))
    assert only(needrestart, half).found == "restarts kubelet.service by itself"


@pytest.mark.parametrize("mode", ["l", "i", ""])
def test_needrestart_that_asks_or_lists_passes(mode: str) -> None:
    assert only(needrestart, Needrestart(installed=True, mode=mode)).level is Level.PASS
    assert judge(needrestart, Needrestart()) == []
