"""What an upgrade begins from: this node's programs and its cluster's, as far as they can be seen from here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from caasctl import formats
from caasctl.facts.cilium import CiliumLive
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.kata_host import Machine
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_live import LiveObjects, ServerVersion
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.facts.kubernetes_tools import Packages, Tools
from caasctl.facts.os_apt import AptSources
from caasctl.frozen import dataclass
from caasctl.model import Facts
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.versions import Minor, minor

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_API_SERVER = "kube-apiserver"
PROJECT = "core:/stable:/v"  # of pkgs.k8s.io and of mirrors that keep its paths: one repository for each minor

_NUMBER = re.compile(r"0|[1-9][0-9]{0,3}")  # as semver writes it: ASCII, no zero before it; no release has more digits
_NAMED = re.compile(r"kubernetes|k8s")
_GONE = "//apt.kubernetes.io"  # ended in 2024


@dataclass(frozen=True)
class Now:
    """Versions as 1.36.4, "" where nothing tells them. plane: this node is a control plane. planes: API servers by node.

    nodes: of the cluster, () where it cannot be asked; node: this one's name. cluster: its ClusterConfiguration. manager: dpkg, rpm, "".
    source: apt's own of Kubernetes' packages, where it is not laid out as pkgs.k8s.io. mirror: the address that the profile has for them.
    options: --profile and --set that were given, ready to paste.
    architecture: as releases name it (amd64). paths: of programs that run.
    """

    plane: bool
    api: str
    kubelet: str
    kubeadm: str
    kubectl: str
    containerd: str
    cilium: str
    cilium_release: str = ""
    node: str = ""
    planes: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    cluster: Mapping[str, Any] = field(default_factory=dict)
    manager: str = ""
    containerd_package: str = ""
    etcd: str = ""
    source: Source | None = None
    mirror: str = ""
    options: str = ""
    architecture: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def newest_api(self) -> str:
        """Of all API servers, this node's among them."""
        known = [version for version in (self.api, *self.planes.values()) if minor(version)]
        return max(known, key=numbers, default="")

    @property
    def alone(self) -> bool:
        """Whether no other node can take this one's pods."""
        return len(self.nodes) == 1

    @property
    def follows(self) -> bool:
        """Whether another control plane is already further: then this node follows it, by `kubeadm upgrade node`."""
        return not self.plane or numbers(self.newest_api) > numbers(self.api)


def numbers(version: str) -> tuple[int, ...]:
    """(1, 36, 4) of v1.36.4; () of what is none."""
    parts = version.lstrip("v").partition("-")[0].split(".")
    return tuple(int(part) for part in parts) if all(map(_NUMBER.fullmatch, parts)) else ()


def now(facts: Facts) -> Now:
    """Raises FactUnread where this host's own programs cannot be read."""
    tools, packages, plane = facts[Tools], facts[Packages], facts[ControlPlane]
    live, pods, cilium = facts.get(LiveObjects), facts.get(LivePods), facts.get(CiliumLive)
    containerd = facts.get(ContainerdVersion)
    own, server = _own(live), facts.get(ServerVersion)
    planes = _planes(pods)
    told = {name: tools.versions.get(name, "") for name in ("kubelet", "kubeadm", "kubectl")}
    kubelet = facts.get(Kubelet)
    api = facts.get(ClusterApi)
    is_plane = _API_SERVER in plane.versions
    return Now(
        is_plane,
        plane.versions.get(_API_SERVER, "")
        or max(planes.values(), key=numbers, default="")
        or (server.version if server else ""),
        told["kubelet"] or (kubelet.version if kubelet else ""),
        told["kubeadm"],
        told["kubectl"],
        containerd.release if containerd and any(containerd.version) else "",
        cilium.version if cilium else "",
        cilium.release if cilium else "",
        own.name if own else "",
        planes,
        live.nodes if live and live.whole else (),
        _configuration(api.configuration if api else ""),
        packages.manager,
        next((name for name in ("containerd.io", "containerd") if name in packages.versions), ""),
        plane.versions.get("etcd", ""),
        _source(facts),
        architecture=machine.word if (machine := facts.get(Machine)) else "",
        paths=tools.paths,
    )


def _source(facts: Facts) -> Source | None:
    """A folder or a mirror that has not pkgs.k8s.io's paths; None where one has them, and where nobody knows."""
    found = facts.get(AptSources)
    known = found.sources if found and found.there else ()
    if any(PROJECT in one.uri for one in known):
        return None
    folders = [one for one in known if one.ours and one.folder]
    return next(
        iter([*folders, *(one for one in known if _NAMED.search(f"{one.uri} {one.path}") and _GONE not in one.uri)]),
        None,
    )


def _own(live: LiveObjects | None) -> Node | None:
    """The node of this host, by its name, else the only one."""
    nodes = live.nodes if live else ()
    return next((one for one in nodes if live and one.name == live.name), nodes[0] if len(nodes) == 1 else None)


def is_node(facts: Facts) -> bool:
    return facts[Cluster].kubelet_conf


def _planes(pods: LivePods | None) -> dict[str, str]:
    """API servers by their node, of the tags of their images."""
    found: dict[str, str] = {}
    for pod in pods.pods if pods else ():
        if pod.namespace == "kube-system" and pod.name.startswith(f"{_API_SERVER}-") and pod.containers:
            version = pod.containers[0].image.partition("@")[0].rpartition(":")[2].lstrip("v")
            found |= {pod.node: version} if minor(version) else {}
    return found


def _configuration(text: str) -> Mapping[str, Any]:
    try:
        data = formats.parse_yaml(text, "kubeadm-config") if text else None
    except formats.FormatError:
        return {}
    return data if isinstance(data, Mapping) else {}


def target(text: str) -> str:
    """Of v1.37.1, 1.37.1, 1.37 or v1.37.x the version as 1.37.1; of a minor alone without a patch, as 1.37, where no table knows one."""
    from caasctl.needs.upgrade import table  # noqa: PLC0415

    plain = text.strip().removeprefix("v").removesuffix(".x")
    parts = () if "-" in plain else numbers(plain)  # no pre-release: kubeadm takes one only with a flag
    if len(parts) == 2:  # noqa: PLR2004 - a minor
        return table.newest((parts[0], parts[1])) or plain
    return plain if len(parts) == 3 else ""  # noqa: PLR2004 - a patch


def minors_between(first: Minor, last: Minor) -> tuple[Minor, ...]:
    """The minors to go through, the last one among them."""
    return tuple((first[0], at) for at in range(first[1] + 1, last[1] + 1))
