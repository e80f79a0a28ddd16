"""Who is in the cluster that this host is in, asked of its API server: what a reset takes with it, and what stays behind."""

from __future__ import annotations

from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN, KUBECTL_S, KUBELET_CONF

_ASK = ("kubectl", "--kubeconfig", ADMIN, "--request-timeout=6s", "get")
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_OWN = frozenset({"kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True)
class ClusterMembers:
    """nodes, control_planes: names, () where nobody could be asked. pods: of all namespaces but Kubernetes' own; namespaces
    with such pods. name: this node's name in its cluster. worker: it has joined, and has no admin.conf. silent: why the API said nothing.
    """

    nodes: tuple[str, ...] = ()
    control_planes: tuple[str, ...] = ()
    pods: int = 0
    namespaces: tuple[str, ...] = ()
    name: str = ""
    worker: bool = False
    silent: str = ""


def read_members(host: Reader) -> ClusterMembers:
    name = (host.read("/proc/sys/kernel/hostname") or "").strip().lower()
    if host.stat(ADMIN) is None:
        return ClusterMembers(name=name, worker=host.stat(KUBELET_CONF) is not None)
    try:
        nodes = _items(host, "nodes")
        pods = [item for item in _items(host, "pods", "-A") if item["metadata"].get("namespace") not in _OWN]
    except Unreadable as unreadable:
        return ClusterMembers(name=name, silent=unreadable.reason)
    planes = [_name(node) for node in nodes if _CONTROL_PLANE in node["metadata"].get("labels", {})]
    spaces = sorted({str(pod["metadata"]["namespace"]) for pod in pods})
    return ClusterMembers(tuple(map(_name, nodes)), tuple(planes), len(pods), tuple(spaces), name)


def _items(host: Reader, *what: str) -> list[dict[str, Any]]:
    done = host.query(*_ASK, *what, "-o", "json", timeout_s=KUBECTL_S)
    if not done.ok:
        raise Unreadable("kubectl", (done.stderr.strip().splitlines() or ["no answer"])[-1])
    try:
        data = formats.parse_json(done.stdout, "kubectl")
        return [item for item in data["items"] if isinstance(item["metadata"], dict)]
    except (formats.FormatError, TypeError, KeyError) as error:
        raise Unreadable("kubectl", "did not answer with a list") from error


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"].get("name", ""))


PROBES: tuple[Probe, ...] = (Probe(ClusterMembers, read_members),)
