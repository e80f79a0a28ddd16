"""Documents of kubeadm and values of Cilium, written by hand: what the stand-ins are tried with."""

from __future__ import annotations

import copy
import json
from typing import Any

Document = dict[str, Any]
KUBEADM, VALUES, JOIN = "/root/kubeadm.yaml", "/root/values.yaml", "/root/join.yaml"
INIT: Document = {
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "kind": "InitConfiguration",
    "localAPIEndpoint": {"advertiseAddress": "10.1.0.5", "bindPort": 6443},
    "nodeRegistration": {"name": "node1", "criSocket": "unix:///run/containerd/containerd.sock", "taints": [],
                         "kubeletExtraArgs": [{"name": "node-ip", "value": "10.1.0.5"}]},
}  # fmt: skip
CLUSTER: Document = {
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "kind": "ClusterConfiguration",
    "kubernetesVersion": "v1.36.4",
    "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16", "dnsDomain": "cluster.local"},
    "proxy": {"disabled": True},
    "apiServer": {"extraArgs": []},
    "controllerManager": {"extraArgs": [{"name": "node-cidr-mask-size-ipv4", "value": "24"}]},
}
KUBELET: Document = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "systemd",
}
CILIUM: Document = {
    "kubeProxyReplacement": "true", "k8sServiceHost": "10.1.0.5", "k8sServicePort": 6443,
    "ipam": {"mode": "cluster-pool", "operator": {"clusterPoolIPv4PodCIDRList": ["10.244.0.0/16"], "clusterPoolIPv4MaskSize": 24}},
    "operator": {"replicas": 1}, "socketLB": {"hostNamespaceOnly": True},
}  # fmt: skip


def changed(document: Document, path: str, value: Any) -> Document:
    """A copy with the value at the dotted path; None takes the key away."""
    new = copy.deepcopy(document)
    *tables, key = path.split(".")
    table = new
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value
    if value is None:
        del table[key]
    return new


def file(*documents: Document) -> str:
    """JSON is YAML."""
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)
