"""The documents that kubeadm v1beta4 is given: for the node that begins a cluster, and for one that joins."""

from __future__ import annotations

from typing import Any

from caasctl.facts.os_system import Hostname
from caasctl.model import Facts
from caasctl.needs.kubernetes.kubelet import configuration
from caasctl.profile import Join, NodeProfile
from caasctl.syntax import kubeadm
from caasctl.syntax.cidr import Ranges

API_PORT = 6443
Document = dict[str, Any]
_VERSION = "kubeadm.k8s.io/v1beta4"


def documents(facts: Facts, profile: NodeProfile, ranges: Ranges, addresses: tuple[str, ...]) -> tuple[Document, ...]:
    """For `kubeadm init`. addresses: the node's, one of each family, the API server's own first."""
    kinds = [
        init(facts, profile, addresses),
        cluster(profile, ranges),
        configuration(facts, profile, ranges.dns),
    ]
    return (*kinds, *([] if profile.spec.cilium.kubeProxyReplacement else [kube_proxy(ranges)]))


def init(facts: Facts, profile: NodeProfile, addresses: tuple[str, ...]) -> Document:
    return {
        "apiVersion": _VERSION,
        "kind": "InitConfiguration",
        "nodeRegistration": registration(facts, profile, addresses),
        "localAPIEndpoint": {"advertiseAddress": addresses[0], "bindPort": API_PORT},
    }


def join_document(facts: Facts, profile: NodeProfile, join: Join, addresses: tuple[str, ...]) -> Document:
    """For `kubeadm join`: it holds a token, so it is written only while kubeadm reads it."""
    document: Document = {
        "apiVersion": _VERSION,
        "kind": "JoinConfiguration",
        "nodeRegistration": registration(facts, profile, addresses),
        "discovery": _discovery(join),
        "patches": {"directory": kubeadm.PATCHES},
    }
    if profile.spec.role != "worker":
        document["controlPlane"] = {
            "localAPIEndpoint": {"advertiseAddress": addresses[0], "bindPort": API_PORT},
            **({"certificateKey": join.certificate_key} if join.certificate_key else {}),
        }
    return document


def _discovery(join: Join) -> Document:
    if join.discovery_file:
        own = {"tlsBootstrapToken": join.token} if join.token else {}
        return {"file": {"kubeConfigPath": join.discovery_file}, **own}
    token = {"token": join.token, "apiServerEndpoint": join.endpoint, "caCertHashes": [*join.ca_hashes]}
    return {"bootstrapToken": token}


def registration(facts: Facts, profile: NodeProfile, addresses: tuple[str, ...]) -> Document:
    """taints: none on a single node; left out, kubeadm taints a control plane and no worker."""
    return {
        "name": facts[Hostname].name.lower(),
        "criSocket": kubeadm.CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": _arguments({"node-ip": ",".join(addresses)}),
        **({"taints": []} if profile.spec.role == "single-node" else {}),
    }


def cluster(profile: NodeProfile, ranges: Ranges) -> Document:
    kubernetes = profile.spec.kubernetes
    return {
        "apiVersion": _VERSION,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": kubernetes.version,
        "imageRepository": kubernetes.imageRepository,
        **({"controlPlaneEndpoint": kubernetes.controlPlaneEndpoint} if kubernetes.controlPlaneEndpoint else {}),
        "networking": {
            "podSubnet": ranges.pod_subnet,
            "serviceSubnet": ranges.service_subnet,
            "dnsDomain": profile.spec.network.dnsDomain,
        },
        "apiServer": _api_server(profile),
        "controllerManager": {"extraArgs": _arguments({**_masks(ranges), "profiling": "false"})},
        "scheduler": {"extraArgs": _arguments({"profiling": "false"})},
        **({"proxy": {"disabled": True}} if profile.spec.cilium.kubeProxyReplacement else {}),
    }


def _masks(ranges: Ranges) -> dict[str, str]:
    """Of the families in use only: the controller manager refuses one of a family that it does not allocate."""
    return {f"node-cidr-mask-size-ipv{family}": str(ranges.mask(family)) for family in sorted(ranges.families)}


def _api_server(profile: NodeProfile) -> Document:
    """An argument that is named replaces kubeadm's of that name, hence NodeRestriction; all of these keep its probes."""
    kubernetes = profile.spec.kubernetes
    arguments = {
        "profiling": "false",
        "enable-admission-plugins": "NodeRestriction,DenyServiceExternalIPs",
        "admission-control-config-file": kubeadm.ADMISSION,
    }
    volumes = [_file("admission", kubeadm.ADMISSION)]
    if kubernetes.auditLog:
        arguments |= {
            "audit-policy-file": kubeadm.AUDIT_POLICY,
            "audit-log-path": f"{kubeadm.AUDIT_LOGS}/audit.log",
            "audit-log-maxage": "30",
            "audit-log-maxbackup": "10",
            "audit-log-maxsize": "100",
        }
        volumes += [_file("audit-policy", kubeadm.AUDIT_POLICY), _folder("audit-log", kubeadm.AUDIT_LOGS)]
    if kubernetes.encryptSecrets:
        arguments["encryption-provider-config"] = kubeadm.ENCRYPTION
        volumes.append(_file("encryption", kubeadm.ENCRYPTION))
    names = [*kubernetes.apiServerCertSANs]
    return {"extraArgs": _arguments(arguments), "extraVolumes": volumes, **({"certSANs": names} if names else {})}


def _file(name: str, path: str) -> Document:
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": True, "pathType": "File"}


def _folder(name: str, path: str) -> Document:
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": False, "pathType": "DirectoryOrCreate"}


def _arguments(named: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in named.items()]


def kube_proxy(ranges: Ranges) -> Document:
    """Without a mode: the default of its version, which kubeadm 1.37 writes down."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": ranges.pod_subnet,
    }
