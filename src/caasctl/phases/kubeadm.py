"""kubeadm: a cluster begun on this host, or joined, from documents that are written down; kubeconfig for those who use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.containerd_live import PodCgroups
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kubernetes import Cluster, EtcdData, Kubelet, StaticPods
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import Kubeconfigs, NodeCertificates
from caasctl.facts.kubernetes_config import KubeadmFile
from caasctl.facts.kubernetes_join import JoinFiles
from caasctl.facts.kubernetes_kubelet import KubeletFlags, KubeletService
from caasctl.facts.kubernetes_leftovers import BegunHere
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_ports import Listeners
from caasctl.facts.network_proxy import Proxies
from caasctl.facts.network_routes import Routes
from caasctl.facts.os import Cpu, Memory
from caasctl.facts.os_apt import AptSources
from caasctl.facts.os_system import Hostname
from caasctl.facts.os_users import Users
from caasctl.formats import dump_yaml
from caasctl.model import CaasError, Facts
from caasctl.needs.kubernetes.documents import documents, join_document
from caasctl.needs.kubernetes.kubelet import joining_patch
from caasctl.needs.kubernetes.server import admission, audit_policy
from caasctl.needs.network import READS, node_addresses, proxied, ranges
from caasctl.profile import Join, NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.kubeadm.begin import KubeadmInit, KubeadmJoin
from caasctl.resources.kubeadm.key import EncryptionKey
from caasctl.resources.kubeadm.kubeconfig import Kubeconfig
from caasctl.resources.units import Unit
from caasctl.syntax import kubeadm
from caasctl.x509 import parse

MODE = 0o600
# No separator may follow it: kubeadm takes what stands before one for a document of its own.
FROZEN = (
    "# Written by caasctl. Once the cluster is there, caasctl does not change this file: what the profile asks for since\n"
    "# then is a finding of `caasctl preflight`.\n"
)


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The kubelet enabled; then what `kubeadm init` or, with join-node, `kubeadm join` brings about."""
    yield proxied(facts, profile, "kubelet")
    yield Unit("kubelet.service", enabled=True)
    if profile.join:
        yield _joined(facts, profile, profile.join)
    elif profile.begins_cluster:
        if profile.spec.kubernetes.encryptSecrets:
            yield EncryptionKey()
        yield _begun(facts, profile)
    if profile.spec.role != "worker":
        yield from _kubeconfigs(facts, profile)


def _begun(facts: Facts, profile: NodeProfile) -> KubeadmInit:
    told = documents(facts, profile, ranges(facts, profile), node_addresses(facts, profile))
    config = File(kubeadm.CONFIG, FROZEN + dump_yaml(*told).removeprefix("---\n"), MODE)
    addons = ("coredns", *(() if profile.spec.cilium.kubeProxyReplacement else ("kube-proxy",)))
    return KubeadmInit((config, *_server_files(profile)), addons)


def _joined(facts: Facts, profile: NodeProfile, join: Join) -> KubeadmJoin:
    told = join_document(facts, profile, join, node_addresses(facts, profile))
    # The cluster's configuration says what an API server mounts: one that was begun with an audit log has its policy everywhere.
    files = (_audit_policy(), _admission(profile)) if profile.spec.role != "worker" else ()
    own = _file(kubeadm.KUBELET_PATCH, joining_patch(facts, profile))
    return KubeadmJoin(
        told["nodeRegistration"]["name"],
        told,
        join.ca_hashes or ((f"sha256:{parse(join.ca, 'the discovery file').spki_sha256}",) if join.ca else ()),
        (join.token, join.certificate_key),
        (own, *files),
    )


def _server_files(profile: NodeProfile) -> tuple[File, ...]:
    """What the API server of the first control plane reads, beside the key."""
    return (*((_audit_policy(),) if profile.spec.kubernetes.auditLog else ()), _admission(profile))


def _audit_policy() -> File:
    return _file(kubeadm.AUDIT_POLICY, audit_policy())


def _admission(profile: NodeProfile) -> File:
    return _file(kubeadm.ADMISSION, admission(profile))


def _file(path: str, data: dict[str, Any]) -> File:
    return File(path, FROZEN + dump_yaml(data), MODE)


def _kubeconfigs(facts: Facts, profile: NodeProfile) -> Iterator[Kubeconfig]:
    yield _kubeconfig("/root")
    name = profile.spec.kubernetes.kubeconfigFor
    if name and name != "root":
        user = facts[Users].named(name)
        if user is None:
            raise CaasError(
                f"there is no user {name} in /etc/passwd",
                cause="spec.kubernetes.kubeconfigFor names who gets the cluster's kubeconfig",
                fix="correct spec.kubernetes.kubeconfigFor, or leave it away",
            )
        yield _kubeconfig(user.home, user.uid, user.gid)


def _kubeconfig(home: str, uid: int = 0, gid: int = 0) -> Kubeconfig:
    return Kubeconfig(File(f"{home.rstrip('/')}/.kube/config", mode=MODE), File(kubeadm.ADMIN), uid, gid)


PHASE = Phase(
    "kubeadm",
    "The control plane, or this node's place in a cluster",
    desired,
    reads=tuple(dict.fromkeys((AptSources, Cpu, Hostname, Memory, PciFunctions, Resolvers, Users, *READS))),
    disturbs=(
        BegunHere,
        CgroupLayout,
        Cluster,
        ClusterApi,
        ControlPlane,
        EtcdData,
        JoinFiles,
        KubeadmFile,
        Kubeconfigs,
        Kubelet,
        KubeletFlags,
        KubeletService,
        Links,
        Listeners,
        NodeCertificates,
        PodCgroups,
        Proxies,
        Routes,
        StaticPods,
    ),
)
