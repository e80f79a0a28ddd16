"""Is this a machine, a distribution and a kernel that a node can be made of?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.os import Container, Kernel, KernelConfig, OsRelease, Privileges, Systemd
from caasctl.facts.os_system import InstalledKernels
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import kernel, needs

_OLDEST = {
    "debian": (12,),
    "ubuntu": (22, 4),
    "rhel": (9,),
    "rocky": (9,),
    "almalinux": (9,),
    "centos": (9,),
    "ol": (9,),
}
_EL8 = (
    "systemd 239 boots cgroup v1, kernel 4.18, glibc 2.28: kubelet 1.35 and newer refuse to start, Kata before 4.1 too"
)
_BREAKS = {
    "ubuntu 20.04": "glibc 2.31: Kata before 4.1 stops with `version 'GLIBC_2.34' not found`; systemd 245 boots hybrid"
    " cgroups, which kubelet 1.35 and newer refuse",
    "ubuntu 18.04": "glibc 2.27, systemd 237 without cpuset in cgroup v2, containerd and kernel too old",
    "debian 11": "glibc 2.31: Kata before 4.1 stops with `version 'GLIBC_2.34' not found`; its containerd is 1.4",
    "debian 10": "glibc 2.28, kernel 4.19, systemd 241 without cpuset in cgroup v2",
    **dict.fromkeys(("rhel 8", "rocky 8", "almalinux 8", "centos 8", "ol 8"), _EL8),
}
_TOO_OLD = "older than anything that caasctl's components are built and tested on"
_CILIUM_KERNEL = ((1, 18), (5, 10), (5, 4))  # from this Cilium on, this kernel; before it, that one
_KUBELET_KERNEL = (5, 8)
_CPUSET_SYSTEMD = 244


@check(
    "os.supported",
    "The distribution is one that a node has been made of",
    reads=(OsRelease,),
    why="Kubelet, containerd and Kata need a C library, an init system and a kernel of their time.",
    fix="Install Debian 12 or newer, Ubuntu 22.04 or newer, or an Enterprise Linux 9 or newer.",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/",
    gates=("host",),
)
def supported(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """ID and VERSION_ID in /etc/os-release."""
    found = facts[OsRelease]
    oldest = _OLDEST.get(found.id)
    wanted = "Debian 12+, Ubuntu 22.04+ or Enterprise Linux 9+"
    if oldest is None or not found.version_id:
        kin = next((name for name in found.id_like if name in _OLDEST), "")
        cause = f"It descends from {kin}, but its own releases are untried." if kin else ""
        fix = Fix(f"try `caasctl init-node --dry-run` and read its plan first: {found.id} is untried", FixKind.WAIT)
        yield warned(found.pretty, wanted=wanted, cause=cause, fix=fix)
    elif _numbers(found.version_id) >= oldest:
        yield passed(found.pretty)
    else:
        yield failed(found.pretty, wanted=wanted, cause=_breaks(found), fix=_upgrade(found))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _breaks(found: OsRelease) -> str:
    major = found.version_id.partition(".")[0]
    return _BREAKS.get(f"{found.id} {found.version_id}", _BREAKS.get(f"{found.id} {major}", _TOO_OLD))


def _upgrade(found: OsRelease) -> Fix:
    if found.id == "ubuntu":
        # it refuses to begin with "Please install all available updates for your release before upgrading."
        return Fix("apt-get update && apt-get -y full-upgrade && do-release-upgrade", needs_reboot=True)
    newer = "Debian 12" if found.id == "debian" else "release 9 of the same distribution"
    return Fix(f"install {newer} or newer on this machine, then run caasctl again", FixKind.WAIT)


@check(
    "os.kernel_minimum",
    "The kernel is new enough for Cilium and cgroup v2",
    reads=(Kernel,),
    why="Cilium's agent exits on an older kernel: `kernel version: NOT OK: minimal supported kernel version is ...`.",
    fix="Boot a kernel that is at least as new as the finding says.",
    source="cilium/cilium Documentation/operations/system_requirements.rst; kubernetes.io cgroups: 5.8 or later",
    gates=("host",),
)
def kernel_minimum(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/sys/kernel/osrelease against the profile's Cilium version."""
    running = facts[Kernel]
    since, needed, before = _CILIUM_KERNEL
    version = profile.spec.cilium.version
    minimum = needed if _numbers(version)[:2] >= since else before
    if running.version >= minimum:
        yield passed(running.release)
    elif ".el8_10" not in running.release:
        wanted = f"{minimum[0]}.{minimum[1]} or newer for Cilium {version}"
        yield failed(running.release, wanted=wanted, fix=_newer_kernel(facts))
    elif running.version < _KUBELET_KERNEL:  # Red Hat's 8.10 kernel carries what Cilium needs
        cause = "Cilium accepts Red Hat's 8.10 kernel, but the kubelet asks for 5.8 or newer under cgroup v2."
        yield warned(running.release, wanted="5.8 or newer", cause=cause, fix=_newer_kernel(facts))


def _newer_kernel(facts: Facts) -> Fix:
    found = facts.get(OsRelease)
    if found and found.id == "ubuntu":
        return Fix(f"apt-get install -y linux-generic-hwe-{found.version_id}", needs_reboot=True)
    return Fix("upgrade the distribution to a release with a newer kernel", FixKind.WAIT, needs_reboot=True)


@check(
    "os.kernel_config",
    "The kernel is built with what the node needs",
    reads=(KernelConfig,),
    why="kubeadm stops with `unexpected kernel config: CONFIG_...`; Kata and containerd fail later, less clearly.",
    fix="Boot the distribution's own kernel, or rebuild this one with the options that the finding names.",
    source="kubernetes/system-validators; kata-containers: kata-runtime check",
    gates=("host",),
)
def kernel_config(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/config.gz, /boot/config-$(uname -r) or the modules folder's config; =y and =m both count."""
    config = facts[KernelConfig]
    lacking = needs.lacking(config.options, needs.options(profile))
    reduced = needs.lacking(config.options, needs.optional_options())
    if lacking:
        kata_only = "Without them no Kata pod starts; a profile with `runtimes: [runc]` does not need them."
        cause = kata_only if set(lacking.values()) == {"Kata"} else ""
        yield failed(
            _named(lacking),
            wanted="each of them y or m",
            cause=cause,
            fix=_rebuild(lacking),
            evidence=(_unset(config, lacking),),
        )
    if reduced:
        cause = "Features that use them are missing: bandwidth limits, seccomp profiles, hugepage limits."
        evidence = (_unset(config, reduced),)
        yield warned(
            _named(reduced),
            wanted="each of them y or m",
            cause=cause,
            fix=_rebuild(reduced),
            subject="optional",
            evidence=evidence,
        )
    if not lacking and not reduced:
        yield passed(f"all {len(needs.options(profile))} needed options, in {config.source}")


def _named(options: dict[str, str]) -> str:
    by_user: dict[str, list[str]] = {}
    for name, who in options.items():
        by_user.setdefault(who, []).append(f"CONFIG_{name}")
    return "not built: " + "; ".join(f"{', '.join(names)} ({who})" for who, names in by_user.items())


def _unset(config: KernelConfig, options: dict[str, str]) -> Evidence:
    return Evidence(config.source, "\n".join(f"# CONFIG_{name} is not set" for name in options))


def _rebuild(options: dict[str, str]) -> Fix:
    wanted = " ".join(f"CONFIG_{name}=y" for name in options)
    return Fix(f"install the distribution's own kernel, or build one with {wanted}", FixKind.WAIT, needs_reboot=True)


@check(
    "os.kernel_stale",
    "The running kernel is the newest one installed, and its modules are on disk",
    reads=(Kernel, InstalledKernels),
    why="After a kernel upgrade the old modules are gone: `modprobe: FATAL: Module br_netfilter not found in directory`.",
    fix="Reboot into the installed kernel.",
    source="kmod: modprobe loads from /lib/modules/$(uname -r) only",
    gates=("host",),
)
def kernel_stale(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Folders in /lib/modules with a modules.dep, against `uname -r`."""
    running, installed = facts[Kernel].release, facts[InstalledKernels].releases
    config = facts.get(KernelConfig)
    reboot = Fix("systemctl reboot")
    newer = kernel.newer(installed, running)
    if config and "MODULES" not in config.options:
        yield passed(f"{running}, built without loadable modules")
    elif not installed:
        cause = "What is not built into this kernel cannot be loaded at all."
        fix = Fix(f"install the modules of {running}, or boot the distribution's own kernel", FixKind.WAIT)
        yield warned(f"{running}, no modules on disk", wanted=f"/lib/modules/{running}", cause=cause, fix=fix)
    elif running not in installed:
        yield failed(
            f"running {running}; modules on disk: {', '.join(installed)}", wanted=f"/lib/modules/{running}", fix=reboot
        )
    elif newer:
        cause = "The next reboot changes the kernel under a working node; better now than then."
        yield warned(f"running {running}, installed {newer}", wanted=newer, cause=cause, fix=reboot)
    else:
        yield passed(running)


@check(
    "os.privileges",
    "caasctl sees everything that root sees",
    reads=(Privileges,),
    why="Without root some files stay unread: checks on them say unknown, and init-node cannot change anything.",
    fix="Run as root.",
    source="ACPI tables are 0400 and grub.cfg is 0600 on Debian",
)
def privileges(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The effective user id in /proc/self/status."""
    if facts[Privileges].root:
        yield passed("root")
    else:
        yield warned("an ordinary user", wanted="root", fix=Fix("run the same command with sudo", FixKind.EDIT))


@check(
    "os.container",
    "This is a machine, not a container on one",
    reads=(Container,),
    why="A container shares its host's kernel: modules, boot arguments and devices are the host's, not to be changed here.",
    fix="Run caasctl on the host, or in a virtual machine.",
    source="the number of the first PID namespace; systemd: /run/systemd/container, container= in the environment of process 1",
    gates=("host", "boot", "containerd"),
)
def container(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/proc/self/ns/pid, /proc/2/comm, then /run/systemd/container, /proc/1/environ, /.dockerenv. Virtual machines pass."""
    found = facts[Container]
    if found.kind:
        evidence = (Evidence(found.evidence, found.kind),)
        fix = Fix("leave the container and run caasctl on its host", FixKind.WAIT)
        yield failed(
            f"inside a container ({found.kind})", wanted="a physical or virtual machine", fix=fix, evidence=evidence
        )
    else:
        yield passed("a physical or virtual machine")


@check(
    "os.systemd",
    "systemd runs this host",
    reads=(Systemd,),
    why="Kubelet, containerd and systemd cgroups hang on it: `System has not been booted with systemd as init system`.",
    fix="Boot with systemd as process 1.",
    source="sd_booted(3): /run/systemd/system",
    gates=("host", "containerd"),
    after=("os.container",),
)
def systemd(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/run/systemd/system, /proc/1/comm and `systemctl --version`."""
    found = facts[Systemd]
    if not found.running:
        said = f"systemd {found.version} is installed, but is not process 1" if found.version else "not running"
        fix = Fix("make systemd process 1 (take init= off the kernel command line)", FixKind.WAIT, needs_reboot=True)
        yield failed(said, wanted="systemd as process 1", fix=fix)
    elif 0 < found.version < _CPUSET_SYSTEMD:
        cause = "Before 244 systemd does not delegate the cpuset controller of cgroup v2: CPU pinning fails."
        fix = Fix("upgrade the distribution to a release with systemd 244 or newer", FixKind.WAIT)
        yield warned(f"systemd {found.version}", wanted=f"systemd {_CPUSET_SYSTEMD} or newer", cause=cause, fix=fix)
    else:
        yield passed(f"systemd {found.version}" if found.version else "systemd")


CHECKS = (supported, kernel_minimum, kernel_config, kernel_stale, privileges, container, systemd)
