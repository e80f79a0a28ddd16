"""Does something upgrade, restart and reboot this host behind everyone's back?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_tools import Packages
from caasctl.facts.os_restarts import Needrestart, UnattendedPackages
from caasctl.facts.os_upgrades import AutoUpgrades
from caasctl.model import Evidence, Facts, Finding, Fix, check, passed, warned
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


# Packages whose upgrade restarts a service of the node, and words of the origins that bring them.
_RUNTIMES = {
    "containerd": ("security", "debian", "ubuntu", "*"),
    "runc": ("security", "debian", "ubuntu", "*"),
    "containerd.io": ("docker", "*:*"),
    "docker-ce": ("docker", "*:*"),
    "kubelet": ("kubernetes", "*:*"),
}
_BLACKLIST = "/etc/apt/apt.conf.d/99zz-node"


@check(
    "os.auto_upgrades",
    "Nothing upgrades the container runtime or the kubelet by itself",
    reads=(AutoUpgrades, UnattendedPackages, Packages),
    why="An upgrade at night restarts containerd or the kubelet on every node at once, and may bring a version that does not"
    " fit the cluster.",
    fix="Hold these packages, or put them on unattended-upgrades' blacklist, and upgrade them node by node, drained.",
    source="unattended-upgrades: Package-Blacklist, Allowed-Origins; apt-mark(8)",
)
def auto_upgrades(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Origins and blacklist of unattended-upgrades in /etc/apt/apt.conf.d; holds of containerd, runc, Docker and the kubelet."""
    upgrades, packages, told = facts[AutoUpgrades], facts[Packages], facts[UnattendedPackages]
    if upgrades.tool != "unattended-upgrades":
        return
    there = [name for name in _RUNTIMES if name in packages.versions]
    origins = " ".join(told.origins).lower()
    moved = [
        name
        for name in there
        if name not in packages.held and not told.spares(name) and any(word in origins for word in _RUNTIMES[name])
    ]
    if moved:
        quoted = " ".join(f'"{name}$";' for name in moved)
        yield warned(f"unattended-upgrades may upgrade {', '.join(moved)}", wanted="held, or on its blacklist",
                     fix=Fix(f"echo 'Unattended-Upgrade::Package-Blacklist {{ {quoted} }};' > {_BLACKLIST}"),
                     evidence=tuple(Evidence("/etc/apt/apt.conf.d", origin) for origin in told.origins[:3]))  # fmt: skip
    elif there:
        yield passed(f"{', '.join(there)}: not by unattended-upgrades")


_SERVICES = ("containerd.service", "kubelet.service")
_SPARE = r"echo '$nrconf{override_rc}{qr(^(containerd|kubelet)\.service$)} = 0;' > /etc/needrestart/conf.d/zz-node.conf"


@check(
    "os.needrestart",
    "Upgrades of packages do not restart the node's services",
    reads=(Needrestart,),
    why="needrestart restarts every service that uses a library which was upgraded: containerd and the kubelet too, in the"
    " middle of somebody else's `apt-get install`.",
    fix="Take containerd and the kubelet out of what needrestart restarts.",
    source="needrestart: README, $nrconf{restart} and $nrconf{override_rc}",
)
def needrestart(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/needrestart/needrestart.conf and conf.d: the mode, and what it leaves alone."""
    found = facts[Needrestart]
    if not found.installed:
        return
    restarted = [name for name in _SERVICES if not found.spares(name)]
    if found.mode == "a" and restarted:
        yield warned(f"restarts {', '.join(restarted)} by itself", wanted="leaves them alone", fix=Fix(_SPARE),
                     evidence=(Evidence(found.source, "$nrconf{restart} = 'a'"),))  # fmt: skip
    elif found.mode == "a":
        yield passed(f"by itself, without {', '.join(_SERVICES)}")
    else:
        yield passed("only lists" if found.mode == "l" else "asks first")


CHECKS = (auto_reboot, auto_upgrades, needrestart)
