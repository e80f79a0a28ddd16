"""What a node would leave behind in its cluster: its pods, their budgets and volumes, the other control planes, etcd's members."""

from __future__ import annotations

from dataclasses import replace

from caasctl import formats, kubectl
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Reader
from caasctl.syntax.kubeadm import ADMIN, KUBELET_CONF
from caasctl.syntax.live import evictions
from caasctl.syntax.live.evictions import Budget, Moved
from caasctl.syntax.live.shape import Item, at, each, place, text

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_API_SERVER, _KUBELET_CONFIG = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/var/lib/kubelet/config.yaml"
_ETCD = "/etc/kubernetes/manifests/etcd.yaml"
_MACHINE = (  # of status.nodeInfo, as the kubelet fills it in (cadvisor's machine info)
    ("machineID", "machine ID", "/etc/machine-id"),
    ("systemUUID", "system UUID", "/sys/class/dmi/id/product_uuid"),
    ("bootID", "boot ID", "/proc/sys/kernel/random/boot_id"),
)


@dataclass(frozen=True)
class Member:
    """Of etcd, as its static pod shows it. node: where it runs."""

    node: str
    ready: bool


@dataclass(frozen=True)
class Leaving:
    """name: of this node in its cluster. kubeconfig: by which the cluster was asked, "" where this host is in none. admin: it is an
    administrator's. plane: this is a control plane; etcd: with a member here. whole: nothing of its cluster's files is gone yet.

    registered: there is a Node object. another: how its machine differs from this one, "" where it does not. planes: names of all
    control planes. members: of etcd. silent: why nobody answers. endpoint: controlPlaneEndpoint. local: claims whose volumes lie
    on a node's disk, as namespace/name.
    """

    name: str
    kubeconfig: str = ""
    admin: bool = False
    plane: bool = False
    etcd: bool = False
    whole: bool = False
    registered: bool = False
    another: str = ""
    closed: bool = False
    planes: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    pods: tuple[Moved, ...] = ()
    budgets: tuple[Budget, ...] = ()
    local: frozenset[tuple[str, str]] = frozenset()
    endpoint: str = ""
    silent: str = ""


def read(host: Reader, given: str = "") -> Leaving:
    """given: a kubeconfig that the user names, "" for the node's own. Raises Unreadable where a file cannot be looked at."""
    admin, kubelet = host.stat(ADMIN) is not None, host.stat(KUBELET_CONF) is not None
    serves = host.stat(_API_SERVER) is not None
    plane = admin or serves
    whole = kubelet and host.stat(_KUBELET_CONFIG) is not None and (not plane or (admin and serves))
    conf = given or (ADMIN if admin else KUBELET_CONF if kubelet else "")
    etcd = host.stat(_ETCD) is not None
    seen = Leaving(kubectl.node_name(host), conf, admin=bool(given) or admin, plane=plane, etcd=etcd, whole=whole)
    try:
        return _asked(host, seen) if conf else seen
    except Unreadable as unreadable:
        return replace(seen, silent=unreadable.reason)


def _asked(host: Reader, seen: Leaving) -> Leaving:
    """A kubelet's own credentials see its node and the pods on it."""
    conf, name = seen.kubeconfig, seen.name
    pods = kubectl.items(host, conf, "pods", "-A", "--field-selector", f"spec.nodeName={name}")
    nodes = kubectl.items(host, conf, "nodes", *(() if seen.admin else (name, "--ignore-not-found")))
    own = next((node for node in nodes if place(node)[1] == name), None)
    closed = at(own, "spec").get("unschedulable") is True
    seen = replace(
        seen,
        registered=own is not None,
        another=_another(host, own),
        closed=closed,
        pods=tuple(map(evictions.parse_pod, pods)),
    )
    return _as_administrator(host, seen, nodes) if seen.admin else seen


def _another(host: Reader, node: Item | None) -> str:
    """What a Node says of its machine that this one is not; a cloned machine has its own boot ID, a restarted one its old machine ID."""
    told = [
        (name, text(node, "status", "nodeInfo", key), host.read(path))
        for key, name, path in _MACHINE
        if host.stat(path) is not None
    ]
    known = [(name, theirs, (ours or "").strip()) for name, theirs, ours in told if theirs and ours]
    if not known or any(theirs.lower() == ours.lower() for _, theirs, ours in known):
        return ""
    return ", ".join(f"its {name} is {theirs}, this host's {ours}" for name, theirs, ours in known)


def _as_administrator(host: Reader, seen: Leaving, nodes: tuple[Item, ...]) -> Leaving:
    kinds = "poddisruptionbudgets,persistentvolumes"
    found = kubectl.items(host, seen.kubeconfig, kinds, "-A")
    etcd = kubectl.items(host, seen.kubeconfig, "pods", "-n", "kube-system", "-l", "component=etcd,tier=control-plane")
    config = kubectl.items(
        host, seen.kubeconfig, "configmap", "kubeadm-config", "-n", "kube-system", "--ignore-not-found"
    )
    return replace(
        seen,
        planes=tuple(place(node)[1] for node in nodes if _CONTROL_PLANE in at(node, "metadata", "labels")),
        members=tuple(Member(text(pod, "spec", "nodeName"), _ready(pod)) for pod in etcd),
        budgets=tuple(evictions.parse_budget(one) for one in found if one.get("kind") == "PodDisruptionBudget"),
        local=evictions.local_claims(tuple(one for one in found if one.get("kind") == "PersistentVolume")),
        endpoint=_endpoint(text(config[0], "data", "ClusterConfiguration") if config else ""),
    )


def _ready(pod: Item) -> bool:
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in each(pod, "status", "conditions"))


def _endpoint(configuration: str) -> str:
    try:
        data = formats.parse_yaml(configuration, "kubeadm-config")
    except formats.FormatError:
        return ""
    return text(data, "controlPlaneEndpoint")
