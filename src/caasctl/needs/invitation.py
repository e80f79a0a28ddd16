"""What a new node must know of the cluster that it is to join, and whether the cluster can take it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import PKI, NodeCertificates
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.model import Facts, RefusedError
from caasctl.syntax.join import values
from caasctl.syntax.join.written import Invitation


def refuse_control_plane(facts: Facts) -> None:
    """Raises RefusedError where the cluster can take no other control plane from here."""
    cluster = cluster_of(facts[ClusterApi])
    if not cluster.get("controlPlaneEndpoint"):
        raise RefusedError(
            "this cluster can take no second control plane",
            cause="it was made without controlPlaneEndpoint: certificates and kubeconfigs name this node alone, and kubeadm joins no control plane to it",
            fix="make a cluster with spec.kubernetes.controlPlaneEndpoint (a name or address that moves); workers can join this one",
        )
    pki = facts[NodeCertificates]
    if not pki.ca_key:
        raise RefusedError("the CA's key is not on this node", cause=f"there is no {PKI}/ca.key, and a control plane gets a copy of it",
                           fix=f"run it on the control plane that has {PKI}/ca.key, or copy {PKI} to the new node by hand")  # fmt: skip


def cluster_of(api: ClusterApi) -> Mapping[str, Any]:
    """Raises RefusedError."""
    try:
        data = formats.parse_yaml(api.configuration, "kubeadm-config")
    except formats.FormatError:
        data = None
    if not isinstance(data, Mapping):
        raise RefusedError("kubeadm-config in kube-system is no ClusterConfiguration", cause="kubeadm cannot read it either",
                           fix="kubectl -n kube-system get configmap kubeadm-config -o yaml")  # fmt: skip
    return data


def spec(facts: Facts) -> dict[str, dict[str, Any]]:
    """What the new node's profile must share with the cluster."""
    cluster = cluster_of(facts[ClusterApi])
    network = cluster.get("networking") or {}
    named = {"podCIDR": "podSubnet", "serviceCIDR": "serviceSubnet", "dnsDomain": "dnsDomain"}
    kubernetes_ = {key: cluster.get(source) for key, source in
                   (("version", "kubernetesVersion"), ("controlPlaneEndpoint", "controlPlaneEndpoint"))}  # fmt: skip
    found: dict[str, dict[str, Any]] = {
        "kubernetes": kubernetes_,
        "network": {key: network.get(source) for key, source in named.items()},
        "cilium": {} if (cluster.get("proxy") or {}).get("disabled") else {"kubeProxyReplacement": False},
    }
    full = {
        part: {key: value for key, value in keys.items() if value not in (None, "")} for part, keys in found.items()
    }
    return {part: keys for part, keys in full.items() if keys}


def notes(facts: Facts, told: Invitation, *, signed: bool, anew: bool = False) -> Iterator[str]:
    name = values.split(told.endpoint)[0]
    if not signed:
        yield ("The controller manager has not signed cluster-info by this token yet, and nobody joins before: "
               "`crictl ps -a --name kube-controller-manager` shows whether it runs.")  # fmt: skip
    if not re.fullmatch(r"[\d.]+|[0-9a-fA-F:]+", name):
        yield f"The new node must find {name} by DNS or a line in its /etc/hosts."
    if not told.expires:
        yield f"The token never ends: `kubeadm token delete {told.token_id}` once the node is there."
    if anew:  # kubeadm keeps one copy, encrypted with the newest key
        yield (f"What an earlier `token create --control-plane` made joins no control plane any more: its key fits the certificates no longer. "
               f"This one is for every control plane that joins until {told.keys_until}.")  # fmt: skip
    apiserver = facts[ControlPlane].arguments.get("kube-apiserver", {})
    if told.certificate_key and apiserver.get("encryption-provider-config"):
        yield f"Secrets are encrypted in etcd: copy {apiserver['encryption-provider-config']} to the same place on the new node first (`scp -p`)."
