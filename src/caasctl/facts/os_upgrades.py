"""Upgrades that happen by themselves: Debian's and Ubuntu's unattended-upgrades, Enterprise Linux's dnf-automatic."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.protocol import Probe, Reader

_APT = "/etc/apt/apt.conf.d"
_DNF = "/etc/dnf/automatic.conf"
_TIMERS = "/etc/systemd/system/timers.target.wants"
_APT_ON = re.compile(r'^\s*APT::Periodic::Unattended-Upgrade\s+"([^"]*)"', re.MULTILINE)
_APT_REBOOT = re.compile(r'^\s*Unattended-Upgrade::Automatic-Reboot\s+"([^"]*)"', re.MULTILINE)
_DNF_REBOOT = re.compile(r"^\s*reboot\s*=\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class AutoUpgrades:
    """tool: unattended-upgrades, dnf-automatic or "". reboots: it reboots the host by itself; source: the file that says so."""

    tool: str
    reboots: bool = False
    source: str = ""


def _read(host: Reader) -> AutoUpgrades:
    return _apt(host) or _dnf(host) or AutoUpgrades("")


def _apt(host: Reader) -> AutoUpgrades | None:
    """Apt reads its files in order of their names; the last word on a subject holds. Names with a dot are not read."""
    on = reboots = False
    source = ""
    paths = [path for path in glob(host, _APT, "") if "." not in path.rpartition("/")[2].removesuffix(".conf")]
    for path in paths:
        text = host.read(path) or ""
        switch, reboot = _APT_ON.findall(text), _APT_REBOOT.findall(text)
        on = switch[-1] not in ("0", "false", "") if switch else on
        reboots, source = (reboot[-1].lower() in ("true", "1", "yes"), path) if reboot else (reboots, source)
    return AutoUpgrades("unattended-upgrades", reboots, source if reboots else "") if on else None


def _dnf(host: Reader) -> AutoUpgrades | None:
    if not any(name.startswith("dnf-automatic") for name in host.list(_TIMERS) or ()):
        return None
    reboot = _DNF_REBOOT.findall(host.read(_DNF) or "")
    reboots = bool(reboot) and reboot[-1] != "never"
    return AutoUpgrades("dnf-automatic", reboots, _DNF if reboots else "")


PROBES = (Probe(AutoUpgrades, _read),)
