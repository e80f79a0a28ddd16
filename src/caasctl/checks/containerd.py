"""containerd as installed: one of it, with runc, of a version that fits the Kubernetes of the profile."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdBinaries, ContainerdService, ContainerdVersion, RuncBinaries, RuncVersion
from caasctl.facts.os import OsRelease
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.packages import brought
from caasctl.profile import NodeProfile
from caasctl.syntax import versions

_FEDORAS = ("rhel", "fedora", "centos")
_UPGRADE = Fix(
    "install containerd 2.3 (https://github.com/containerd/containerd/releases, or Docker's package containerd.io)",
    FixKind.EDIT,
)
_RUNC_MINIMUM = (1, 1, 0)


@check(
    "containerd.installed",
    "containerd is installed as a service",
    reads=(ContainerdBinaries, ContainerdService),
    why="kubeadm stops with `[ERROR CRI]: container runtime is not running`.",
    fix="Install containerd of a line that fits Kubernetes: 2.3 has support until 2028.",
    source="kubeadm preflight, ContainerRuntimeCheck",
    gates=("containerd",),
)
def installed(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Containerd on PATH, and containerd.service with its drop-ins in systemd's folders."""
    found, service = facts[ContainerdBinaries], facts[ContainerdService]
    if not found.paths:
        ours = "packages" if "containerd" in brought(facts, profile) else ""
        yield failed("no containerd on PATH", wanted="containerd", fix=_install(facts, "containerd"), fixed_by=ours)
    elif service.masked:
        yield failed(
            f"{service.path} is masked", wanted="a service that starts", fix=Fix("systemctl unmask containerd.service")
        )
    elif not service.path:
        yield failed(
            f"{found.in_use} without containerd.service",
            wanted="a service that starts at boot",
            fix=Fix(
                "put the containerd.service of its release into /etc/systemd/system, then: systemctl daemon-reload",
                FixKind.EDIT,
            ),
            cause="a containerd from a tarball does not start by itself, and none follows a reboot.",
        )
    elif service.binary not in found.paths:
        yield failed(
            f"{service.path} starts {service.binary}, which is not there",
            wanted=f"a service that starts {found.paths[0]}",
            fix=Fix(
                f"systemctl edit containerd.service   # ExecStart= and then ExecStart={found.paths[0]}", FixKind.EDIT
            ),
        )
    else:
        yield passed(f"{found.in_use}, {service.path}")


@check(
    "containerd.one_binary",
    "There is one containerd",
    reads=(ContainerdBinaries,),
    why="`containerd --version` and `containerd config dump` by hand then speak of another program than the service runs.",
    fix="Remove the one that the service does not run.",
    source="PATH order against ExecStart",
    after=("containerd.installed",),
)
def one_binary(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Containerd in all folders of PATH; links to one file count once."""
    found = facts[ContainerdBinaries]
    others = [path for path in found.paths if path != found.in_use]
    if others:
        yield warned(
            f"{', '.join(found.paths)}; the service runs {found.in_use}",
            wanted=f"only {found.in_use}",
            fix=Fix(f"remove {others[0]} (dpkg -S or rpm -qf tells whose it is)", FixKind.EDIT),
        )
    else:
        yield passed(found.in_use)


@check(
    "containerd.runc_installed",
    "runc is installed",
    reads=(RuncBinaries, RuncVersion),
    why='Every ordinary pod, the control plane too, stops with `exec: "runc": executable file not found in $PATH`.',
    fix="Install runc: containerd's tarballs do not bring it, and Kata does not replace it.",
    source="https://github.com/containerd/containerd/blob/main/docs/getting-started.md",
    gates=("containerd",),
)
def runc_installed(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Runc on PATH."""
    paths, version, broken = facts[RuncBinaries].paths, facts[RuncVersion].version, facts[RuncVersion].broken
    if not paths:
        ours = "packages" if "runc" in brought(facts, profile) else ""
        yield failed("no runc on PATH", wanted="runc", fix=_install(facts, "runc"), fixed_by=ours)
    elif broken:
        yield failed(
            f"{paths[0]} does not run", wanted="a runc built for this host", fix=_install(facts, "runc"), cause=broken
        )
    elif (0, 0, 0) < version < _RUNC_MINIMUM:
        yield warned(
            f"{paths[0]} {_dotted(version)}",
            wanted=f"{_dotted(_RUNC_MINIMUM)} or newer",
            fix=_install(facts, "runc"),
            cause="runc before 1.1 has gaps with cgroup v2 and with the systemd driver.",
        )
    else:
        yield passed(f"{paths[0]} {_dotted(version)}")


@check(
    "containerd.supported",
    "This containerd fits the Kubernetes of the profile",
    reads=(ContainerdVersion,),
    why="What nobody tested together fails in ways that nobody has written down.",
    fix="Take containerd 2.3 (support until 2028-04-30).",
    source="containerd RELEASES.md; Kubernetes KEP-4033",
    gates=("containerd",),
    after=("containerd.installed",),
)
def supported(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Containerd's version against spec.kubernetes.version and the project's table of tested pairs."""
    found, minor = facts[ContainerdVersion], profile.spec.kubernetes.minor
    if found.broken:
        yield failed("containerd does not run here", wanted="a containerd built for this host", cause=found.broken,
                     fix=Fix("install the distribution's containerd, or the release named containerd-static-*", FixKind.EDIT))  # fmt: skip
        return
    cannot = versions.containerd_cannot_run(found.version, minor)
    said = f"{found.release} with Kubernetes {_dotted(minor)}"
    evidence = (Evidence("containerd --version", found.text),)
    if cannot:
        yield failed(said, wanted="containerd 2.3", fix=_UPGRADE, cause=cannot, evidence=evidence)
        return
    doubts = versions.containerd_doubts(found.version, minor)
    if doubts:
        yield warned(said, wanted="a tested pair with support: containerd 2.3", fix=_UPGRADE,
                     cause=f"It should run, but {doubts}.", evidence=evidence)  # fmt: skip
    else:
        yield passed(said, evidence=evidence)


def _install(facts: Facts, package: str) -> Fix:
    release = facts.get(OsRelease)
    if release and {release.id, *release.id_like} & set(_FEDORAS):
        return Fix("dnf install -y containerd.io   # from Docker's repository; it brings runc")
    return Fix(f"apt-get install -y {package}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS = (installed, one_binary, runc_installed, supported)
