"""Phase packages: repositories by their keys, what is missing by apt in one transaction, holds; releases' tarballs."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.facts.containerd import (
    ContainerdBinaries,
    ContainerdProcess,
    ContainerdService,
    ContainerdVersion,
    RuncBinaries,
    RuncVersion,
)
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective, Shims
from caasctl.facts.containerd_live import ContainerdPlugins, CriInfo
from caasctl.facts.kata_host import Machine
from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.kubernetes_tools import HostTools, Packages, Tools
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptPins, AptReleases, AptSources
from caasctl.facts.os_dpkg import DpkgState
from caasctl.facts.os_system import Disk
from caasctl.model import HEADER, Facts
from caasctl.needs.packages import HELD, Download, Package, Repository, manager, wanted
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.packages.release import Release
from caasctl.resources.packages.repository import AptRepository
from caasctl.resources.packages.transaction import AptHolds, AptLists, AptPackages
from caasctl.syntax.packages import apt

_UNIT = "containerd.service"
# What a release must hold, and what links on PATH lead to
_PROGRAMS = {
    "helm": ("helm",),
    "containerd": ("containerd", "ctr", "containerd-shim-runc-v2"),
    "runc": ("runc",),
    "cni-plugins": (
        "bandwidth", "bridge", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan", "portmap", "ptp",
        "static", "tuning", "vlan",
    ),
}  # fmt: skip


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The whole list, whatever of it is there: each resource leaves alone what is."""
    distribution = facts[OsRelease]
    machine = facts[Machine].word if profile.spec.packages.helm.source else ""  # Helm's tarball has a folder of that name
    want = wanted(profile, distribution, machine)
    if manager(distribution) != "apt" or not want.packages:
        return
    signed = tuple(one for one in want.repositories if one.fingerprint)
    repositories = tuple(AptRepository(one, want.of(one.name), _files(one, want.of(one.name))) for one in signed)
    yield from repositories
    lists = AptLists(want.packages, after=tuple(one.name for one in repositories))
    yield lists
    yield AptPackages(want.packages)
    if profile.spec.packages.hold:
        yield AptHolds(tuple(package for package in want.packages if package.name in HELD))
    yield from (_release(one) for one in want.downloads)


def _release(download: Download) -> Release:
    if download.name != "containerd":
        return Release(download, _PROGRAMS[download.name])
    text = formats.render("containerd.service.j2", header=HEADER, binary=f"{download.to}/containerd")
    return Release(download, _PROGRAMS["containerd"], (File(f"/etc/systemd/system/{_UNIT}", text),), _UNIT)


def _files(repository: Repository, packages: tuple[Package, ...]) -> tuple[File, ...]:
    pins = apt.pins_text(packages)
    source = File(apt.source_file(repository), apt.source_text(repository))
    return (File(apt.pins_file(repository), pins), source) if pins else (source,)


PHASE = Phase(
    "packages",
    "containerd, Kubernetes' programs and what they need, from their repositories",
    desired,
    reads=(OsRelease, Machine),
    disturbs=(
        Packages,
        Tools,
        HostTools,
        ContainerdBinaries,
        ContainerdVersion,
        ContainerdService,
        ContainerdProcess,
        ContainerdConfig,
        ContainerdEffective,
        ContainerdPlugins,
        RuncBinaries,
        RuncVersion,
        CriInfo,
        Shims,
        Kubelet,
        AptSources,
        AptPins,
        AptReleases,
        DpkgState,
        Disk,
    ),
    may_idle=True,
)
