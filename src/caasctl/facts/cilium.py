"""Cilium as it runs in this node's cluster, by kubectl: who installed it, its configuration, each node's addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.kubectl import answer
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

_ADMIN = "/etc/kubernetes/admin.conf"
_KUBECTL = ("kubectl", "--kubeconfig", _ADMIN, "--request-timeout=6s")
ASK = (*_KUBECTL, "-n", "kube-system", "get", "configmap/cilium-config", "daemonset/cilium", "--ignore-not-found",
       "-o", "json")  # fmt: skip
_NODE_ROW = '{.kind}{" "}{.metadata.name}{" "}{.spec.podCIDRs[*]}{" "}{.spec.ipam.podCIDRs[*]}'
ASK_NODES = (*_KUBECTL, "get", "nodes,ciliumnodes", "-o", "jsonpath={range .items[*]}" + _NODE_ROW + '{"\\n"}{end}')
_KEPT = ("ipam", "cluster-pool-ipv4-cidr", "cluster-pool-ipv4-mask-size", "cluster-pool-ipv6-cidr",
         "cluster-pool-ipv6-mask-size", "routing-mode", "tunnel-protocol", "kube-proxy-replacement")  # fmt: skip
_TAG = re.compile(r":v?(\d[\w.+-]*?)(?:@sha256:[0-9a-f]+)?$")
_MANAGER, _RELEASE = "app.kubernetes.io/managed-by", "meta.helm.sh/release-name"


@dataclass(frozen=True)
class NodeRanges:
    """A node's networks for pods. given: by the controller manager (Node.spec.podCIDRs). used: by Cilium (CiliumNode)."""

    name: str
    given: tuple[str, ...] = ()
    used: tuple[str, ...] = ()


@dataclass(frozen=True)
class CiliumLive:
    """asked: there is an API server that answers. installed: the DaemonSet cilium is in kube-system. version: as 1.20.5.

    release: Helm's, "" where Helm did not install it. config: what matters here of the ConfigMap cilium-config.
    """

    asked: bool = False
    installed: bool = False
    version: str = ""
    release: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[NodeRanges, ...] = ()


def parse(text: str) -> CiliumLive:
    """Of `kubectl get -o json`, which prints a list, one object, or nothing. Raises Unreadable."""
    try:
        data = formats.parse_json(text, "kubectl") if text.strip() else {"items": []}
        objects = {item["kind"]: item for item in data.get("items", [data])}
        config = objects.get("ConfigMap", {}).get("data") or {}
        kept = {key: str(config[key]) for key in _KEPT if key in config}
        return _live(objects["DaemonSet"], kept) if "DaemonSet" in objects else CiliumLive(asked=True, config=kept)
    except (formats.FormatError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise Unreadable("kubectl get daemonset/cilium", "did not print what Kubernetes prints") from error


def _live(daemonset: Mapping[str, Any], config: Mapping[str, str]) -> CiliumLive:
    metadata, containers = daemonset["metadata"], daemonset["spec"]["template"]["spec"]["containers"]
    agent = next((one for one in containers if one.get("name") == "cilium-agent"), containers[0])
    tag = _TAG.search(str(agent.get("image", "")))
    helm = (metadata.get("labels") or {}).get(_MANAGER) == "Helm"
    release = str((metadata.get("annotations") or {}).get(_RELEASE, "")) if helm else ""
    return CiliumLive(asked=True, installed=True, version=tag[1] if tag else "", release=release, config=config)


def parse_nodes(text: str) -> tuple[NodeRanges, ...]:
    """Of ASK_NODES: `Node NAME CIDR ...` and `CiliumNode NAME CIDR ...`, a line each."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind, name, *cidrs in filter(None, map(_row, text.splitlines())):
        found.setdefault(name, {})[kind] = tuple(cidrs)
    return tuple(NodeRanges(name, told.get("Node", ()), told.get("CiliumNode", ())) for name, told in found.items())


def _row(line: str) -> list[str]:
    words = line.split()
    return words if len(words) > 1 else []


def read_live(host: Reader) -> CiliumLive:
    """Asks only where there is an admin.conf, and for nodes only where there is Cilium."""
    said = answer(host, ASK, _ADMIN)
    if said is None:
        return CiliumLive()
    live = parse(said)
    return replace(live, nodes=tuple(_nodes(host))) if live.installed else live


def _nodes(host: Reader) -> Iterator[NodeRanges]:
    yield from parse_nodes(answer(host, ASK_NODES, _ADMIN) or "")


PROBES: tuple[Probe, ...] = (Probe(CiliumLive, read_live),)
