"""Phase packages: repositories by their keys, what is missing by apt in one transaction, holds; releases' tarballs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

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
from caasctl.facts.network_proxy import AptProxy
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptPins, AptReleases, AptSources
from caasctl.facts.os_dpkg import DpkgState
from caasctl.facts.os_restarts import UnattendedPackages
from caasctl.facts.os_system import Disk
from caasctl.facts.os_upgrades import AutoUpgrades
from caasctl.model import HEADER, Facts
from caasctl.needs import containerd
from caasctl.needs.network import proxy
from caasctl.needs.packages import HELD, Download, Package, Repository, Wanted, manager, wanted
from caasctl.profile import NodeProfile
from caasctl.profile_packages import ProxySpec
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File, Gone
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
    machine = (
        facts[Machine].word if profile.spec.packages.helm.source else ""
    )  # Helm's tarball has a folder of that name
    want = wanted(profile, distribution, machine)
    if manager(distribution) == "apt":
        yield from _proxy(facts, profile.spec.proxy, want)
    if manager(distribution) != "apt" or not want.packages:
        return
    signed = tuple(one for one in want.repositories if one.fingerprint)
    repositories = tuple(AptRepository(one, want.of(one.name), _files(one, want.of(one.name))) for one in signed)
    yield from repositories
    folder = profile.airgap.packages if profile.airgap else ""
    yield AptLists(want.packages, after=tuple(one.name for one in repositories), folder=folder)
    yield AptPackages(want.packages, folder=folder, judge=partial(containerd.refusal, profile))
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


def _proxy(facts: Facts, spec: ProxySpec, want: Wanted) -> Iterator[File]:
    """Apt's own files, before it is asked for anything. Whoever may not read the passwords gets no error from apt."""
    if not spec.http and not spec.https:
        yield from (Gone(proxy.APT), Gone(proxy.APT_LOGIN))
        return
    known = facts.get(AptSources)
    foreign = (source.host for source in (known.sources if known else ()) if not source.ours)
    hosts = dict.fromkeys((*foreign, *(urlsplit(one.uri).hostname or "" for one in want.repositories)))
    login = File(proxy.APT_LOGIN, proxy.apt_login(spec), 0o600, secret=True)
    yield login if proxy.is_secret(spec) else Gone(proxy.APT_LOGIN)
    yield File(proxy.APT, proxy.apt(spec, filter(None, hosts)))


PHASE = Phase(
    "packages",
    "containerd, Kubernetes' programs and what they need, from their repositories",
    desired,
    reads=(OsRelease, Machine, AptSources),
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
        AptProxy,
        AutoUpgrades,
        UnattendedPackages,
        AptSources,
        AptPins,
        AptReleases,
        DpkgState,
        Disk,
    ),
    may_idle=True,  # with `install: off`
    never_idle=("os.installed_by_hand",),
)
