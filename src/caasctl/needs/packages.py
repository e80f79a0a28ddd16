"""What a profile installs on a host: packages, downloads and repositories, at which version, from where, checked by what."""

from __future__ import annotations

import shlex

from caasctl.facts.containerd import ContainerdBinaries, RuncBinaries
from caasctl.facts.kubernetes_tools import HostTools, Packages, Tools
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptSources
from caasctl.model import Facts, FactUnread, Fix
from caasctl.profile import NodeProfile
from caasctl.profile_packages import RepositorySpec, TarballSpec
from caasctl.syntax import versions
from caasctl.syntax.packages import Download, Package, Repository, Wanted
from caasctl.syntax.versions import Minor

__all__ = [
    "KUBERNETES",
    "READS",
    "Download",
    "Package",
    "Repository",
    "Wanted",
    "brought",
    "holds",
    "installs",
    "key_fix",
    "kubernetes_by_hand",
    "manager",
    "missing_programs",
    "package_of",
    "programs",
    "unsigned",
    "wanted",
]
READS: tuple[type, ...] = (OsRelease, Packages, Tools, HostTools, ContainerdBinaries, RuncBinaries)  # of `installs`
KUBERNETES, DOCKER = "kubernetes", "docker"  # repositories; "" is the distribution's own
HELD = ("kubelet", "kubeadm", "kubectl", "containerd", "containerd.io", "runc")
_DEBIANS, _FEDORAS = ("debian", "ubuntu"), ("rhel", "fedora", "centos")
_PROJECT = "https://pkgs.k8s.io/core:/stable:/v"
_DOCKER = "https://download.docker.com/linux"
# What kubeadm looks for before it begins: kubernetes#127151 (1.32), #129131, #129317, #129450 (1.33) took the others off.
_NEEDED_SINCE_1_33 = ("mount", "losetup")
_NEEDED_BEFORE = ("ip", "iptables", "mount", "nsenter")
_PACKAGE_OF = {  # on Debian and on Fedora, where that is not the program's own name
    "ip": ("iproute2", "iproute"),
    "tc": ("iproute2", "iproute-tc"),
    "nsenter": ("util-linux", "util-linux"),
    "losetup": ("mount", "util-linux"),
    "mount": ("mount", "util-linux"),
    "conntrack": ("conntrack", "conntrack-tools"),
}


def manager(distribution: OsRelease) -> str:
    """The word for the host's package manager: apt, dnf, or "" where caasctl knows none."""
    family = {distribution.id, *distribution.id_like}
    return "apt" if family & {*_DEBIANS} else "dnf" if family & {*_FEDORAS} else ""


def wanted(profile: NodeProfile, distribution: OsRelease, architecture: str) -> Wanted:
    """What the profile installs; nothing with `install: off`, or where no package manager is known.

    architecture: the word of releases and of dpkg (amd64, arm64). Of dnf, names and repositories are for the commands to show.
    """
    by = manager(distribution)
    if profile.spec.packages.install == "off" or not by:
        return Wanted()
    packages = (*_runtime(profile, distribution, by), *_kubernetes(profile), *_tools(profile, by))
    used = set() if profile.airgap else {package.repository for package in packages}
    both = (_kubernetes_repository(profile, by), _docker_repository(profile, distribution, by))
    return Wanted(packages, _downloads(profile, architecture), tuple(one for one in both if one.name in used))


def installs(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """The packages that are to be installed here: what is there, from whatever source, stays."""
    there = _there(facts)
    listed = wanted(profile, facts[OsRelease], "").packages
    return tuple(p.name for p in listed if p.name not in facts[Packages].versions and not there.get(p.program))


def _there(facts: Facts) -> dict[str, tuple[str, ...]]:
    found = {"containerd": facts[ContainerdBinaries].paths, "runc": facts[RuncBinaries].paths}
    return found | {name: (path,) for name, path in {**facts[HostTools].paths, **facts[Tools].paths}.items()}


def unsigned(facts: Facts, profile: NodeProfile) -> tuple[Repository, ...]:
    """Repositories that something is to come from, and that the profile names no key of; those that the host uses already are none.

    Raises FactUnread.
    """
    absent, used = {*installs(facts, profile)}, {source.uri for source in facts[AptSources].sources}
    want = wanted(profile, facts[OsRelease], "")
    needed = (one for one in want.repositories if any(package.name in absent for package in want.of(one.name)))
    return tuple(one for one in needed if not one.fingerprint and one.uri.rstrip("/") not in used)


def brought(facts: Facts, profile: NodeProfile) -> frozenset[str]:
    """The programs that the phase packages would bring here; none where that cannot be told."""
    try:
        if manager(facts[OsRelease]) != "apt":
            return frozenset()
        absent, lost = {*installs(facts, profile)}, {one.name for one in unsigned(facts, profile)}
        want = wanted(profile, facts[OsRelease], "")
    except FactUnread:
        return frozenset()
    by_apt = {p.program for p in want.packages if p.name in absent and p.repository not in lost}
    with_it = {"runc"} if any(p.name == "containerd.io" and p.name in absent for p in want.packages) else set()
    tools = {name for name in _PACKAGE_OF if _PACKAGE_OF[name][0] in absent}
    return frozenset({*by_apt, *with_it, *tools, *(one.program for one in want.downloads)})


def holds(facts: Facts, profile: NodeProfile) -> bool:
    """Whether the phase packages keeps packages at their version here."""
    distribution, spec = facts.get(OsRelease), profile.spec.packages
    return bool(distribution and manager(distribution) == "apt" and spec.install != "off" and spec.hold)


def key_fix(repository: Repository) -> Fix:
    """How to get a fingerprint, and where it goes."""
    key, setting = repository.key, f"{repository.setting}.fingerprint"
    show = "gpg --show-keys --with-fingerprint"
    told = (
        f"curl -fsSL {key} | {show}"
        if key.startswith("https://")
        else f"{show} {shlex.quote(key.removeprefix('file://'))}"
    )
    return Fix(
        f"{told}   # compare with what the project publishes, or with a host that you trust; then in the profile: {setting}"
    )


def kubernetes_by_hand(profile: NodeProfile, by: str) -> tuple[tuple[Package, ...], Repository]:
    """For the commands of a host where the profile installs nothing. by: apt or dnf."""
    return _kubernetes(profile), _kubernetes_repository(profile, by)


def missing_programs(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """What a node cannot do without and this one lacks, for a distribution whose packages caasctl does not know by name."""
    there = _there(facts)
    needed = (
        "containerd",
        "runc",
        *(package.program for package in _kubernetes(profile)),
        *programs(profile.spec.kubernetes.minor)[0],
    )
    return tuple(name for name in needed if not there.get(name))


def programs(minor: Minor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What kubeadm of that minor insists on, and what is worth having beside it."""
    if minor >= (1, 33):
        return _NEEDED_SINCE_1_33, ("ip", "iptables", "nsenter", "ethtool", "tc")
    if minor >= (1, 32):
        return _NEEDED_BEFORE, ("ethtool", "tc")
    return (*_NEEDED_BEFORE, "conntrack"), ("ebtables", "ethtool", "socat", "tc")


def package_of(program: str, by: str) -> str:
    """The package that brings a program. by: apt or dnf."""
    return _PACKAGE_OF.get(program, (program, program))[by == "dnf"]


def _runtime(profile: NodeProfile, distribution: OsRelease, by: str) -> tuple[Package, ...]:
    spec = profile.spec.packages.containerd
    glob = f"{spec.version}[!0-9]*" if spec.version else ""
    runc = Package("runc", program="runc")
    if spec.from_ == "tarball":
        return () if spec.runc.source else (runc,)
    if spec.from_ == "docker" or (by == "dnf" and distribution.id != "fedora"):  # RHEL and its kin have no containerd
        return (Package("containerd.io", glob, DOCKER, "containerd"),)  # it brings a runc of its own
    return (Package("containerd", glob, "", "containerd"), runc)


def _kubernetes(profile: NodeProfile) -> tuple[Package, ...]:
    """cri-tools has versions of its own; the repository of a minor has those that fit it. kubernetes-cni comes with the kubelet."""
    version = f"{profile.spec.kubernetes.version.lstrip('v').replace('-', '~')}-*"
    trio = tuple(Package(name, version, KUBERNETES, name) for name in ("kubelet", "kubeadm", "kubectl"))
    return (*trio, Package("cri-tools", "", KUBERNETES, "crictl"))


def _tools(profile: NodeProfile, by: str) -> tuple[Package, ...]:
    needed, useful = programs(profile.spec.kubernetes.minor)
    packages = {package_of(program, by): program for program in reversed((*needed, *useful))}
    return tuple(Package(name, program=program) for name, program in reversed(packages.items()))


def _downloads(profile: NodeProfile, architecture: str) -> tuple[Download, ...]:
    spec = profile.spec.packages
    found = (
        [_download("helm", spec.helm, "/usr/local/bin", "helm", f"linux-{architecture}", "helm")]
        if profile.begins_cluster
        else []
    )
    if spec.containerd.from_ == "tarball":
        bin_ = "/usr/local/bin"
        found.append(_download("containerd", spec.containerd.tarball, bin_, "containerd", "bin", "containerd.tarball"))
        found.append(_download("runc", spec.containerd.runc, "/usr/local/sbin", "runc", None, "containerd.runc"))
    loopback = "/opt/cni/bin/loopback"
    found.append(_download("cni-plugins", spec.containerd.cni, "/opt/cni/bin", loopback, "", "containerd.cni"))
    return tuple(one for one in found if one.source)


def _download(name: str, spec: TarballSpec, to: str, program: str, top: str | None, key: str) -> Download:
    return Download(name, spec.source, spec.sha256.lower(), to, program, top, f"spec.packages.{key}")


def _kubernetes_repository(profile: NodeProfile, by: str) -> Repository:
    """One for each minor: it has no packages of another."""
    kind, key = ("deb", "Release.key") if by == "apt" else ("rpm", "repodata/repomd.xml.key")
    base = f"{_PROJECT}{versions.text(profile.spec.kubernetes.minor)}/{kind}/"
    spec = profile.spec.packages.kubernetes
    return _repository(KUBERNETES, spec, base, "/", (), key, "spec.packages.kubernetes")


def _docker_repository(profile: NodeProfile, distribution: OsRelease, by: str) -> Repository:
    """Docker has none for derivatives: theirs is that of what they are built on."""
    base, codename = distribution.base
    near = (distribution.id, base, "ubuntu" if "ubuntu" in distribution.id_like else "")
    name = next((one for one in near if one in (*_DEBIANS, *_FEDORAS)), {"apt": "debian", "dnf": "centos"}[by])
    spec, setting = profile.spec.packages.containerd.docker, "spec.packages.containerd.docker"
    return _repository(
        DOCKER, spec, f"{_DOCKER}/{name}/", codename or distribution.codename, ("stable",), "gpg", setting
    )


def _repository(
    name: str, spec: RepositorySpec, base: str, suite: str, components: tuple[str, ...], key: str, setting: str
) -> Repository:
    """The project's own unless the profile names another; without a key of its own, that is looked for beside the packages."""
    uri = f"{(spec.uri or base).rstrip('/')}/"
    return Repository(name, uri, suite, components, spec.key or f"{uri}{key}", spec.digits, setting)
