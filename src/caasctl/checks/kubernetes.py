"""Kubernetes' programs: are they there, held, of versions that go together and are still maintained?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_tools import HostTools, Packages, Tools
from caasctl.facts.os import OsRelease
from caasctl.facts.os_clock import Clock
from caasctl.model import Check, Evidence, Facts, FactUnread, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.packages import (
    KUBERNETES,
    Repository,
    brought,
    holds,
    kubernetes_by_hand,
    manager,
    package_of,
    programs,
    unsigned,
    wanted,
)
from caasctl.profile import NodeProfile
from caasctl.syntax import versions
from caasctl.syntax.packages import by_hand
from caasctl.syntax.versions import Minor

_MANAGERS = {"dpkg": "apt", "rpm": "dnf"}
_HELM = (  # a sum from the same server says nothing of who put both there, and caasctl knows of no other
    "spec.packages.helm in the profile: source, the path or address of a helm-VERSION-linux-ARCH.tar.gz of https://github.com/helm/helm/releases,"
    " and sha256, of that file, from somebody whom you trust; or install helm from the distribution"
)
_HELM_BY_HAND = (  # phase packages installs nothing there
    "install helm from the distribution where it has one, or the program helm of a helm-VERSION-linux-ARCH.tar.gz of"
    " https://github.com/helm/helm/releases as /usr/local/bin/helm, once its sha256 is what somebody whom you trust says"
)
_TRIO = ("kubelet", "kubeadm", "kubectl")
_HIGHER = "kubeadm stops: `the kubelet version is higher than the control plane version. This is not a supported version skew`."
_USES = {
    "ip": "caasctl, which watches over the default route while Cilium starts",
    "iptables": "the kubelet, for its own chains",
    "nsenter": "engineers, to look into a pod's network",
    "ethtool": "engineers, to look at offloads and links",
    "tc": "engineers, to look at Cilium's filters",
    "socat": "port-forward of old runtimes",
    "ebtables": "the kubelet of that version",
    "conntrack": "kube-proxy of that version",
}


@check(
    "kubernetes.packages",
    "kubeadm, kubelet, kubectl and helm are installed, and kept at their version",
    reads=(Tools, Packages),
    why="without one of them no cluster begins, and caasctl brings those only whose source the profile names and vouches for.",
    fix="Install them from the package repository of the profile's minor version, and hold them.",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/; https://helm.sh/docs/intro/install/",
    gates=("kubeadm",),
)
def packages(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """PATH for the programs; /var/lib/dpkg/status, rpm, versionlock.list and exclude= in /etc/yum.repos.d for holds."""
    tools, installed = facts[Tools], facts[Packages]
    missing = [name for name in _TRIO if name not in tools.paths]  # on a worker, kubectl tells that its join succeeded
    ours = brought(facts, profile)
    if missing:
        yield failed(f"not installed: {', '.join(missing)}", wanted=f"{', '.join(_TRIO)} of {_minor(profile)}",
                     fix=_install(facts, profile), fixed_by="packages" if ours >= {*missing} else "")  # fmt: skip
    if profile.begins_cluster and "helm" not in tools.paths:
        yield failed("not installed: helm", wanted="helm 3 or newer", subject="helm", fix=Fix(_HELM if _manager(facts) == "apt" else _HELM_BY_HAND, FixKind.EDIT),
                     cause="Cilium is installed by its Helm chart, and only helm can do that.",
                     fixed_by="packages" if "helm" in ours else "")  # fmt: skip
    if missing:
        return
    yield passed(", ".join(f"{name} {tools.versions.get(name, '')}".strip() for name in _TRIO))
    if "crictl" not in tools.paths:
        yield warned("not installed: crictl", wanted="crictl", subject="cri-tools", fix=_cri_tools(facts),
                     fixed_by="packages" if "crictl" in ours else "", cause="Nobody can look at containers when the API server is down, which is when it is needed.")  # fmt: skip
    yield from _held(installed, profile, facts)


def _minor(profile: NodeProfile) -> str:
    return versions.text(profile.spec.kubernetes.minor)


def _install(facts: Facts, profile: NodeProfile) -> Fix:
    by = _manager(facts)
    if by == "dnf":
        return _by_dnf(facts.get(OsRelease), profile)
    unknown = next((one for one in _unsigned(facts, profile) if one.name == KUBERNETES), None)
    if unknown:
        return Fix(
            f"first what os.repository_keys asks for: {unknown.setting}.fingerprint in the profile", FixKind.EDIT
        )
    packages, repository = kubernetes_by_hand(profile, by or "dnf")
    if by == "apt":
        return Fix(by_hand.by_apt(packages, repository, _TRIO))
    version = profile.spec.kubernetes.version.lstrip("v")
    return Fix(
        f"install {', '.join(_TRIO)} {version}, of {repository.uri} or this distribution, where PATH leads",
        FixKind.WAIT,
    )


def _manager(facts: Facts) -> str:
    """apt, dnf, or "" where caasctl knows none: by the distribution's name, or else by what lists its packages."""
    distribution = facts.get(OsRelease)
    return manager(distribution) if distribution else _MANAGERS.get(facts[Packages].manager, "")


def _by_dnf(distribution: OsRelease | None, profile: NodeProfile) -> Fix:
    if distribution and wanted(profile, distribution, "").packages:
        return Fix("run the commands of os.installed_by_hand: they install these too", FixKind.EDIT)
    packages, repository = kubernetes_by_hand(profile, "dnf")
    return Fix(by_hand.by_dnf(packages, [repository]))


def _unsigned(facts: Facts, profile: NodeProfile) -> tuple[Repository, ...]:
    """Where that cannot be told, a command says how to install by hand."""
    try:
        return unsigned(facts, profile)
    except FactUnread:
        return ()


def _cri_tools(facts: Facts) -> Fix:
    commands = {"apt": "apt-get install -y cri-tools", "dnf": "dnf install -y --disableexcludes=kubernetes cri-tools"}
    by = _manager(facts)
    return Fix(commands[by]) if by else Fix("install cri-tools of the cluster's minor version", FixKind.EDIT)


def _held(installed: Packages, profile: NodeProfile, facts: Facts) -> Iterator[Finding]:
    """Packages that the next upgrade of the host would move; what was not installed as a package is not moved."""
    loose = [name for name in _TRIO if name in installed.versions and name not in installed.held]
    if loose:
        hold = "apt-mark hold" if installed.manager == "dpkg" else "dnf versionlock add"
        ours = holds(facts, profile)
        yield warned(
            f"not held: {', '.join(loose)}",
            wanted="held at their version",
            subject="hold",
            cause="The next upgrade of the host's packages moves the kubelet past the control plane, and restarts it.",
            fix=Fix(f"{hold} {' '.join(loose)}"),
            fixed_by="packages" if ours else "",
        )


@check(
    "kubernetes.tools",
    "The programs that kubeadm and the kubelet call are on PATH",
    reads=(HostTools, Packages),
    why="kubeadm stops with `[ERROR FileExisting-mount]: mount not found in system path`, and so for each of them.",
    fix="Install the packages that the finding names.",
    source="kubernetes: cmd/kubeadm/app/preflight/checks_linux.go; kubernetes#127151, #129131, #129317, #129450",
    gates=("kubeadm",),
)
def tools(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """ip, iptables, mount, nsenter, losetup, ethtool, tc, socat, ebtables and conntrack in the folders of PATH."""
    there = facts[HostTools].paths
    needed, useful = programs(profile.spec.kubernetes.minor)
    missing = [name for name in needed if name not in there]
    lacking = [name for name in useful if name not in there]
    if missing:
        yield failed(f"not found: {', '.join(missing)}", wanted=", ".join(needed), fix=_of_packages(missing, facts),
                     fixed_by=_by(missing, facts, profile))  # fmt: skip
    if lacking:
        uses = "; ".join(f"{name}: {_USES[name]}" for name in lacking)
        yield warned(f"not found: {', '.join(lacking)}", wanted=", ".join(useful), subject="useful",
                     fix=_of_packages(lacking, facts), cause=f"Who uses them: {uses}.",
                     fixed_by=_by(lacking, facts, profile))  # fmt: skip
    if not missing and not lacking:
        yield passed(", ".join((*needed, *useful)))


def _by(names: list[str], facts: Facts, profile: NodeProfile) -> str:
    return "packages" if brought(facts, profile) >= {*names} else ""


def _of_packages(lacking: list[str], facts: Facts) -> Fix:
    by = "dnf" if facts[Packages].manager == "rpm" else "apt"
    names = dict.fromkeys(package_of(name, by) for name in lacking)
    return Fix(f"{'dnf' if by == 'dnf' else 'apt-get'} install -y {' '.join(names)}")


@check(
    "kubernetes.supported",
    "The profile's Kubernetes version is maintained, and one that caasctl knows",
    reads=(),
    why="A version past its end of life gets no fix, not even for what everybody can read about.",
    fix="Name a maintained version in spec.kubernetes.version.",
    source="https://kubernetes.io/releases/; kubeadm's v1beta4 configuration: kubernetes#125029",
    gates=("kubeadm",),
)
def supported(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.kubernetes.version against the table of the ends of life; the host's clock where it is past the table."""
    minor, version = profile.spec.kubernetes.minor, profile.spec.kubernetes.version
    clock, newest = facts.get(Clock), max(versions.KUBERNETES_EOL)
    today = max(versions.WRITTEN, clock.now.date()) if clock else versions.WRITTEN
    ends = versions.KUBERNETES_EOL.get(minor)
    wanted = f"v{versions.text(newest)} or one of the two minors before it"
    fix = Fix(f"in the profile: spec.kubernetes.version: v{versions.text(newest)}.1", FixKind.EDIT)
    if minor < versions.FIRST_V1BETA4:
        cause = "caasctl writes kubeadm's configuration as v1beta4, which kubeadm reads since 1.31."
        yield failed(version, wanted=wanted, cause=cause, fix=fix)
    elif ends is None:
        cause = f"It is newer than what caasctl knows: {versions.text(newest)} is the newest of its table."
        fix = Fix("take a caasctl that knows this version, or read `caasctl init-node --dry-run` first", FixKind.WAIT)
        yield warned(version, wanted=wanted, cause=cause, fix=fix)
    elif ends < today:
        yield warned(f"{version}: end of life {ends}", wanted=wanted, fix=fix)
    else:
        yield passed(f"{version}, maintained until {ends}")


@check(
    "kubernetes.skew",
    "kubeadm, kubelet and kubectl are of versions that go together",
    reads=(Tools, ControlPlane),
    why=_HIGHER,
    fix="Install the profile's version of all three, or name their version in the profile.",
    source="https://kubernetes.io/releases/version-skew-policy/; kubeadm: preflight check KubeletVersion",
    gates=("packages", "kubeadm"),
)
def skew(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Versions of the programs against the profile's, or the running API server's where this node has one."""
    told = facts[Tools].versions
    live = versions.minor(facts[ControlPlane].versions.get("kube-apiserver", ""))
    cluster = live or profile.spec.kubernetes.minor
    whose = "the running control plane" if live else "the profile"
    bad = tuple(
        finding for name in _TRIO if (finding := _judge(name, told.get(name, ""), cluster, whose, facts, profile))
    )
    yield from bad
    known = [f"{name} {told[name]}" for name in _TRIO if told.get(name)]
    if known and not bad:
        yield passed(f"{', '.join(known)}; {whose}: {versions.text(cluster)}")


def _judge(name: str, version: str, cluster: Minor, whose: str, facts: Facts, profile: NodeProfile) -> Finding | None:
    minor = versions.minor(version)
    behind = versions.behind(minor, cluster) if minor else 0
    wanted, cause = _rule(name, behind, versions.text(cluster))
    if not minor or not wanted:
        return None
    evidence = (Evidence(facts[Tools].paths.get(name, name), version),)
    make = warned if name == "kubectl" else failed
    return make(f"{name} {version}, {whose}: {versions.text(cluster)}", wanted=wanted, cause=cause, subject=name,
                fix=_other_version(name, cluster, facts, profile), evidence=evidence)  # fmt: skip


def _rule(name: str, behind: int, cluster: str) -> tuple[str, str]:
    """What is wanted and why, where a program so many minors behind does not go with the cluster; else ("", "")."""
    if name == "kubelet" and behind < 0:
        return f"{cluster} or up to 3 minors older", _HIGHER
    if name == "kubelet" and behind > versions.OLDER_KUBELET:
        return f"{cluster} or up to 3 minors older", "kubeadm stops: `is lower than kubeadm can support`."
    if name == "kubeadm" and behind not in (0, -1):
        return f"{cluster} or one minor newer", (
            "kubeadm deploys its own minor and the one before it: `this version of kubeadm only supports deploying clusters"
            " with the control plane version >= ...`, or etcd and CoreDNS of the wrong age."
        )
    if name == "kubectl" and abs(behind) > 1:
        return f"{cluster} or one minor off", "kubectl is tested with API servers one minor older or newer, no further."
    return "", ""


def _other_version(name: str, cluster: Minor, facts: Facts, profile: NodeProfile) -> Fix:
    """The profile's patch release where the cluster has its minor, else the newest patch of the cluster's minor.

    The repository of one minor has no other's: so the right one is named too.
    """
    mine = versions.minor(facts[Tools].versions.get(name, ""))
    if facts[ControlPlane].versions.get("kube-apiserver") and mine and mine < cluster <= profile.spec.kubernetes.minor:
        to = profile.spec.kubernetes.version
        return Fix(f"caasctl upgrade --dry-run --to {to}   # shows the way there, for {name} and all that goes with it")
    version = profile.spec.kubernetes.version.lstrip("v")
    patch = f"{version}-*" if profile.spec.kubernetes.minor == cluster else f"{versions.text(cluster)}.*"
    base, installed = f"https://pkgs.k8s.io/core:/stable:/v{versions.text(cluster)}", facts.get(Packages)
    first = f"   # once there is a repository of {versions.text(cluster)}, as each minor has one of its own: {base}"
    if installed and installed.manager == "dpkg":
        install = f"apt-get install -y --allow-downgrades --allow-change-held-packages '{name}={patch}'"
        return Fix(f"apt-get update && {install} && apt-mark hold {name}{first}/deb/ in /etc/apt/sources.list.d")
    if installed and installed.manager == "rpm":
        install = f"dnf install -y --allowerasing --disableexcludes=kubernetes '{name}-{patch}'"
        return Fix(f"{install}{first}/rpm/ in /etc/yum.repos.d")
    return Fix(f"put {name} {versions.text(cluster)} where {facts[Tools].paths.get(name, name)} is", FixKind.WAIT)


CHECKS: tuple[Check, ...] = (packages, tools, supported, skew)
