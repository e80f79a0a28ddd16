"""Are memory, processors, disks, clock and name of this host fit for a node?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from caasctl.facts.os import Cpu, Memory, OsRelease
from caasctl.facts.os_system import Disk, Hostname, RebootPending, Space, TimeSync
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.profile import NodeProfile

_CONTROL_PLANE_MIB = 1700
_CONTROL_PLANE_CPUS = 2
_MIB = 1024
_GIB = 1024 * 1024
_DEBIANS = ("debian", "ubuntu")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_LENGTH = 63  # the node's label kubernetes.io/hostname holds the whole name, and a label's value ends there


@check(
    "os.memory",
    "There is memory for the control plane",
    reads=(Memory,),
    why="kubeadm stops with `[ERROR Mem]: the system RAM (... MB) is less than the minimum 1700 MB`.",
    fix="Add memory, or reserve fewer hugepages.",
    source="kubeadm preflight, MemCheck",
    gates=("kubeadm",),
)
def memory(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """MemTotal and Hugetlb in /proc/meminfo: memory that hugepages hold is lost to everything else."""
    found = facts[Memory]
    left_mib = (found.total_kib - found.hugetlb_kib) // _MIB
    said = f"{found.total_kib / _GIB:.1f} GiB"
    if found.hugetlb_kib:
        said += f", {found.hugetlb_kib / _GIB:.1f} GiB of them in hugepages"
    if left_mib >= _CONTROL_PLANE_MIB:
        yield passed(said)
        return
    fix = Fix("add memory", FixKind.WAIT)
    cause = ""
    if found.total_kib // _MIB >= _CONTROL_PLANE_MIB:
        cause = "kubeadm counts all memory, but processes cannot use hugepages: the control plane would be killed."
        fix = Fix("lower hugepages= on the kernel command line (spec.boot.hugepages.count)", FixKind.EDIT,
                  needs_reboot=True)  # fmt: skip
    if profile.spec.role == "worker":
        yield warned(said, wanted=f"{_CONTROL_PLANE_MIB} MiB", cause="Pods have next to no room.", fix=fix)
    else:
        yield failed(said, wanted=f"{_CONTROL_PLANE_MIB} MiB outside hugepages", cause=cause, fix=fix)


@check(
    "os.cpus",
    "There are processors for the control plane",
    reads=(Cpu,),
    why="kubeadm stops with `[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2`.",
    fix="Give the machine two CPUs.",
    source="kubeadm preflight, NumCPUCheck",
    gates=("kubeadm",),
)
def cpus(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Processors in /proc/cpuinfo."""
    count = facts[Cpu].count
    if count >= _CONTROL_PLANE_CPUS or profile.spec.role == "worker":
        yield passed(str(count))
    else:
        yield failed(
            str(count), wanted=str(_CONTROL_PLANE_CPUS), fix=Fix("give the machine a second CPU", FixKind.WAIT)
        )


class _Limit(NamedTuple):
    """What a path needs. *_mib: free space below which it fails or warns. percent: the kubelet's own eviction limit."""

    path: str
    fails_mib: int
    warns_mib: int
    percent: int
    what: str


_LIMITS = (
    _Limit("/var/lib/containerd", 5120, 20480, 15, "images and their layers: `no space left on device` while pulling"),
    _Limit("/var/lib/kubelet", 1024, 10240, 10, "volumes and logs of pods"),
    _Limit("/var/lib/etcd", 512, 4096, 0, "etcd: `mvcc: database space exceeded`, then a read-only cluster"),
    _Limit("/boot", 0, 150, 0, "a new initramfs: `update-initramfs: failed` leaves a host that does not boot"),
    _Limit("/run", 16, 64, 0, "containerd's sockets and state, Kata's shared folders"),
    _Limit("/opt", 0, 2560, 0, "Kata's tree and CNI's plugins"),
)


@check(
    "os.disk_space",
    "There is disk space where the node writes",
    reads=(Disk,),
    why="A file system that is too full makes the kubelet evict pods: `The node was low on resource: ephemeral-storage`.",
    fix="Make room, or give the path a file system of its own.",
    source="kubelet evictionHard defaults: nodefs.available<10%, imagefs.available<15%, inodesFree<5%",
    gates=("containerd", "kubeadm"),
)
def disk_space(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`df` of /var/lib/containerd, /var/lib/kubelet, /var/lib/etcd, /boot, /run and /opt, or of what will hold them."""
    spaces = {space.path: space for space in facts[Disk].spaces}
    evicts = "evictionHard" not in profile.spec.kubernetes.kubelet
    found: list[Finding] = []
    for limit in _LIMITS:
        space = spaces.get(limit.path)
        if space is None:
            found.append(unknown("`df` says nothing of it", subject=limit.path))
        elif _applies(limit, space, profile):
            found += _judge_space(limit, space, evicts=evicts)
    yield from found
    if not found:
        mounts = {space.mount: space for space in spaces.values()}
        yield passed("free: " + ", ".join(f"{_gib(space.free_kib)} on {mount}" for mount, space in mounts.items()))


def _applies(limit: _Limit, space: Space, profile: NodeProfile) -> bool:
    if limit.path == "/var/lib/etcd":
        return profile.spec.role != "worker"
    if limit.path == "/boot":
        return space.mount == "/boot"  # on the root file system it is no bottleneck
    return limit.path != "/opt" or bool(profile.spec.kata.source)


def _judge_space(limit: _Limit, space: Space, *, evicts: bool) -> Iterator[Finding]:
    said = f"{_gib(space.free_kib)} free of {_gib(space.total_kib)} on {space.mount}"
    fix = Fix(f"make room on {space.mount} (`du -xh -d2 {space.mount} | sort -h | tail`)", FixKind.EDIT)
    free_percent = 100 * space.free_kib // max(space.total_kib, 1)
    free_mib = space.free_kib // _MIB
    if free_mib < limit.fails_mib:
        yield failed(
            said, wanted=f"{limit.fails_mib} MiB free", subject=limit.path, cause=f"It holds {limit.what}.", fix=fix
        )
    elif evicts and free_percent < limit.percent:
        cause = f"Below {limit.percent} % the kubelet reports DiskPressure at once and evicts every pod that it can."
        yield failed(
            f"{said}, {free_percent} %", wanted=f"{limit.percent} % free", subject=limit.path, cause=cause, fix=fix
        )
    elif evicts and limit.percent and space.inodes and 100 * space.free_inodes < 5 * space.inodes:
        cause = "Below 5 % free inodes the kubelet reports DiskPressure, however many bytes are free."
        inodes = f"{space.free_inodes} inodes free of {space.inodes} on {space.mount}"
        yield failed(inodes, wanted="5 % free", subject=limit.path, cause=cause, fix=fix)
    elif free_mib < limit.warns_mib:
        yield warned(
            said, wanted=f"{limit.warns_mib} MiB free", subject=limit.path, cause=f"It holds {limit.what}.", fix=fix
        )


def _gib(kib: int) -> str:
    return f"{kib / _GIB:.1f} GiB" if kib >= _GIB else f"{kib // _MIB} MiB"


@check(
    "os.time_sync",
    "The clock is kept right",
    reads=(TimeSync,),
    why="With clocks apart, joins and logins fail: `x509: certificate has expired or is not yet valid`; etcd elects anew.",
    fix="Run one time service: chrony or systemd-timesyncd.",
    source="kubernetes/kubernetes 42791; etcd hardware guide",
    after=("os.systemd",),
)
def time_sync(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/run/systemd/timesync/synchronized, the units of time services, `chronyc tracking` or `timedatectl`."""
    found = facts[TimeSync]
    if not found.service:
        yield warned("no time service runs", wanted="chrony or systemd-timesyncd", fix=_install_chrony(facts))
    elif found.synchronised is None:
        yield unknown(f"{found.service} runs, {found.evidence} does not say whether it is synchronised")
    elif found.synchronised:
        yield passed(f"{found.service}, synchronised")
    else:
        command = "chronyc -n sources" if found.service == "chrony" else "timedatectl timesync-status"
        fix = Fix(
            f"see with `{command}` which server does not answer (UDP port 123), wait until one does", FixKind.WAIT
        )
        evidence = (Evidence(found.evidence, "not synchronised"),)
        yield warned(f"{found.service}, not synchronised", wanted="synchronised", fix=fix, evidence=evidence)


def _install_chrony(facts: Facts) -> Fix:
    found = facts.get(OsRelease)
    family = {found.id, *found.id_like} if found else set()
    if family.intersection(_DEBIANS):
        return Fix("apt-get install -y chrony")
    return Fix("dnf install -y chrony && systemctl enable --now chronyd")


@check(
    "os.hostname",
    "The host name can be a node's name",
    reads=(Hostname,),
    why="The node's name is the host name: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters`.",
    fix="Give the host a lower-case name that resolves.",
    source="kubeadm preflight, HostnameCheck",
    gates=("kubeadm",),
)
def hostname(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/proc/sys/kernel/hostname, /etc/hosts, and whether nss-myhostname is in /etc/nsswitch.conf."""
    found = facts[Hostname]
    name = found.name
    problem = _name_problem(name.lower())
    if problem:
        fix = Fix(f"hostnamectl set-hostname {_proposed(name)}")
        yield failed(repr(name), wanted="letters, digits, '-' and '.', not localhost", cause=problem, fix=fix)
    elif name != name.lower():
        cause = (
            "kubeadm and the kubelet lower it; labels, certificates and scripts that use the real name do not match."
        )
        yield warned(name, wanted=name.lower(), cause=cause, fix=Fix(f"hostnamectl set-hostname {name.lower()}"))
    elif not found.addresses and not found.by_itself:
        cause = f'kubeadm warns `hostname "{name}" could not be reached` unless DNS answers for it.'
        fix = Fix(f"echo '127.0.1.1 {name}' >> /etc/hosts")
        yield warned(f"{name}, not in /etc/hosts", wanted="a name that resolves on this host", cause=cause, fix=fix)
    else:
        yield passed(f"{name} ({', '.join(dict.fromkeys(found.addresses)) or 'by nss-myhostname'})")


def _name_problem(name: str) -> str:
    if name.partition(".")[0] in ("localhost", ""):
        return "Every host is called so: nodes of one cluster need names of their own."
    if len(name) > _NAME_LENGTH:
        return f"The node's label kubernetes.io/hostname takes {_NAME_LENGTH} characters: the kubelet cannot register."
    return (
        "" if all(_LABEL.fullmatch(label) for label in name.split(".")) else "kubeadm refuses it: not an RFC 1123 name."
    )


def _proposed(name: str) -> str:
    plain = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")[:_NAME_LENGTH].strip("-.")
    return plain if plain and not _name_problem(plain) else "node-1"


@check(
    "os.reboot_pending",
    "No reboot is due",
    reads=(RebootPending,),
    why="Upgraded packages are not in use yet; the reboot that brings them would come at a time of its own choosing.",
    fix="Reboot before the node carries load.",
    source="Debian and Ubuntu: /run/reboot-required",
)
def reboot_pending(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/run/reboot-required and /run/reboot-required.pkgs."""
    found = facts[RebootPending]
    if found.pending:
        said = f"asked for by {', '.join(found.packages)}" if found.packages else "asked for"
        yield warned(said, wanted="none due", fix=Fix("systemctl reboot"))
    else:
        yield passed("none due")


CHECKS = (memory, cpus, disk_space, time_sync, hostname, reboot_pending)
