"""Which versions of what a node is made of are on this host, each with where that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from caasctl.facts.cilium import CiliumLive
from caasctl.facts.containerd import ContainerdBinaries, ContainerdVersion, RuncBinaries, RuncVersion
from caasctl.facts.kata import KataTrees
from caasctl.facts.kubernetes_manifests import FOLDER, ControlPlane
from caasctl.facts.kubernetes_tools import Packages, Tools
from caasctl.facts.os import Kernel, OsRelease
from caasctl.model import Facts
from caasctl.pictures import Version

_TOOLS = {"kubelet": "kubelet", "kubeadm": "kubeadm", "kubectl": "kubectl", "crictl": "cri-tools", "helm": "helm"}
_MORE = {"docker": ("docker-ce", "docker.io", "moby-engine"), "cilium": ("cilium-cli",)}  # only where they are there


def versions(facts: Facts) -> tuple[Version, ...]:
    """In the order of a node's layers: system, runtime, Kubernetes, network."""
    found = (_system(facts), _runtime(facts), _tools(facts), _cluster(facts))
    return tuple(version for group in found for version in group)


def _system(facts: Facts) -> Iterator[Version]:
    yield _one(facts, "operating system", OsRelease, lambda fact: fact.pretty or fact.id, "/etc/os-release")
    yield _one(facts, "kernel", Kernel, lambda fact: fact.release, "/proc/sys/kernel/osrelease")


def _runtime(facts: Facts) -> Iterator[Version]:
    binaries, runc = facts.get(ContainerdBinaries), facts.get(RuncBinaries)
    path = (binaries.in_use or next(iter(binaries.paths), "")) if binaries else ""
    yield _one(facts, "containerd", ContainerdVersion, _said, path)
    yield _one(facts, "runc", RuncVersion, _said, next(iter(runc.paths), "") if runc else "")
    trees = facts.get(KataTrees)
    if trees and trees.trees:
        for tree in trees.trees:
            yield Version("Kata Containers", tree.version or "does not say", tree.prefix)
    else:
        yield _one(facts, "Kata Containers", KataTrees, lambda _: "", "")


def _said(fact: ContainerdVersion | RuncVersion) -> str:
    number = ".".join(map(str, fact.version)) if any(fact.version) else ""
    told = number if not fact.text or fact.text.endswith(number) else f"{number} ({fact.text})"
    return f"{told}, does not run here: {fact.broken}" if fact.broken else told if number else ""


def _tools(facts: Facts) -> Iterator[Version]:
    tools, packages = facts.get(Tools), facts.get(Packages)
    known = packages.versions if packages else {}
    for name, package in _TOOLS.items():
        yield _one(facts, name, Tools, lambda fact, name=name: _tool(fact, name), _from(tools, known, name, (package,)))
    for name, names in _MORE.items() if tools else ():
        if tools and name in tools.versions:
            told = "cilium (command line)" if name == "cilium" else name
            yield Version(told, _tool(tools, name), _from(tools, known, name, names))


def _tool(tools: Tools, name: str) -> str:
    return tools.versions[name] or "does not say" if name in tools.versions else ""


def _from(tools: Tools | None, known: object, name: str, packages: tuple[str, ...]) -> str:
    path = tools.paths.get(name, "") if tools else ""
    versions = known if isinstance(known, dict) else {}
    package = next((f"package {each} {versions[each]}" for each in packages if each in versions), "")
    return ", ".join(said for said in (path, package) if said)


def _cluster(facts: Facts) -> Iterator[Version]:
    plane, cilium = facts.get(ControlPlane), facts.get(CiliumLive)
    for component, version in plane.versions.items() if plane else ():
        yield Version(component, version, f"{FOLDER}/{component}.yaml")
    where = f"DaemonSet cilium, by Helm release {cilium.release}" if cilium and cilium.release else "DaemonSet cilium"
    asked = bool(cilium and cilium.asked)
    if cilium is None or asked:
        yield _one(facts, "Cilium", CiliumLive, lambda fact: fact.version, where if asked else "")


def _one(facts: Facts, name: str, kind: type, say: Callable[..., str], source: str) -> Version:
    fact = facts.get(kind)
    if fact is None:
        return Version(name, unread=facts.unread().get(kind, "was not looked at"))
    version = say(fact)
    return Version(name, version, source if version else "")
