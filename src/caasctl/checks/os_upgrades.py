"""Does something upgrade and reboot this host behind everyone's back?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.os_upgrades import AutoUpgrades
from caasctl.model import Facts, Finding, Fix, check, passed, warned
from caasctl.profile import NodeProfile

_OFF = {
    "unattended-upgrades": "echo 'Unattended-Upgrade::Automatic-Reboot \"false\";' > /etc/apt/apt.conf.d/99zz-no-reboot",
    "dnf-automatic": "sed -i 's/^ *reboot *=.*/reboot = never/' /etc/dnf/automatic.conf",
}


@check(
    "os.auto_reboot",
    "The host does not reboot by itself",
    reads=(AutoUpgrades,),
    why="Automatic upgrades may reboot the node at night without draining it: every pod and virtual machine on it dies.",
    fix="Switch automatic reboots off, and reboot nodes one by one, drained.",
    source="unattended-upgrades: Automatic-Reboot; dnf-automatic: reboot",
)
def auto_reboot(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/apt/apt.conf.d; the timers of dnf-automatic and /etc/dnf/automatic.conf."""
    found = facts[AutoUpgrades]
    if found.reboots:
        yield warned(f"{found.tool} may, says {found.source}", wanted="never by itself", fix=Fix(_OFF[found.tool]))
    else:
        yield passed(f"{found.tool} upgrades, without rebooting" if found.tool else "no automatic upgrades")


CHECKS = (auto_reboot,)
