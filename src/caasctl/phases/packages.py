"""Phase packages: repositories by their keys, what is missing by apt in one transaction, holds; releases' tarballs."""

from __future__ import annotations

from collections.abc import Iterator

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
from caasctl.model import Facts
from caasctl.needs.packages import HELD, Package, Repository, manager, wanted
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.packages.repository import AptRepository
from caasctl.resources.packages.transaction import AptHolds, AptLists, AptPackages
from caasctl.syntax.packages import apt


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The whole list, whatever of it is there: each resource leaves alone what is."""
    distribution = facts[OsRelease]
    want = wanted(profile, distribution, facts[Machine].word)
    if manager(distribution) != "apt" or not want.packages:
        return
    signed = tuple(one for one in want.repositories if one.fingerprint)
    repositories = tuple(AptRepository(one, want.of(one.name), _files(one, want.of(one.name))) for one in signed)
    yield from repositories
    folder = profile.airgap.packages if profile.airgap else ""
    yield AptLists(want.packages, after=tuple(one.name for one in repositories), folder=folder)
    yield AptPackages(want.packages, folder=folder)
    if profile.spec.packages.hold:
        yield AptHolds(tuple(package for package in want.packages if package.name in HELD))


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
