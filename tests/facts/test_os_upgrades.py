"""unattended-upgrades and dnf-automatic: on or off, and whether they reboot."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.facts.test_os_swap import plant

from caasctl.facts.os_upgrades import PROBES, AutoUpgrades
from caasctl.host import LiveHost

APT, DNF = "/etc/apt/apt.conf.d", "/etc/dnf/automatic.conf"
ON = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
TIMER = "/etc/systemd/system/timers.target.wants/dnf-automatic-install.timer"
COMMENTED = '//Unattended-Upgrade::Automatic-Reboot "true";\n'
REBOOT = 'Unattended-Upgrade::Automatic-Reboot "true";\n'


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, AutoUpgrades("")),
        (
            {f"{APT}/20auto-upgrades": ON.replace('"1"', '"0"'), f"{APT}/50unattended-upgrades": REBOOT},
            AutoUpgrades(""),
        ),
        (
            {f"{APT}/20auto-upgrades": ON, f"{APT}/50unattended-upgrades": COMMENTED},
            AutoUpgrades("unattended-upgrades"),
        ),
        (
            {f"{APT}/20auto-upgrades": ON, f"{APT}/50unattended-upgrades": REBOOT},
            AutoUpgrades("unattended-upgrades", reboots=True, source=f"{APT}/50unattended-upgrades"),
        ),
        (
            {f"{APT}/20auto-upgrades": ON, f"{APT}/50u": REBOOT, f"{APT}/99off": REBOOT.replace("true", "false")},
            AutoUpgrades("unattended-upgrades"),
        ),
        ({f"{APT}/20auto-upgrades": ON, f"{APT}/50u.dpkg-old": REBOOT}, AutoUpgrades("unattended-upgrades")),
        ({DNF: "[commands]\nreboot = when-needed\n"}, AutoUpgrades("")),
        ({TIMER: "", DNF: "[commands]\nreboot = never\n"}, AutoUpgrades("dnf-automatic")),
        ({TIMER: "", DNF: "reboot = when-needed\n"}, AutoUpgrades("dnf-automatic", reboots=True, source=DNF)),
    ],
)
def test_who_upgrades_and_whether_it_reboots(tmp_path: Path, files: dict[str, str], found: AutoUpgrades) -> None:
    plant(tmp_path, files)
    assert PROBES[0].read(LiveHost(str(tmp_path))) == found
