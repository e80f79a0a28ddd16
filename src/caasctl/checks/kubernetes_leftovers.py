"""What an earlier cluster, or a beginning that was cut short, left on this node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from caasctl.facts.kubernetes import Cluster, EtcdData, StaticPods
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import Kubeconfigs
from caasctl.facts.kubernetes_leftovers import CNI_FOLDER, BegunHere, CniFiles
from caasctl.facts.kubernetes_manifests import COMPONENTS, ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.os_clock import COMES_UP_S, Clock
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.profile import NodeProfile

ADMIN, KUBELET, USER = "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf", "/root/.kube/config"
_BASE = "/etc/kubernetes"
_RESET = "kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock"
_LOOK = "crictl ps -a --name 'kube-apiserver|etcd'; journalctl -u kubelet -n 50 --no-pager"
_WHO = "finish it or take it down with the tool that began it; caasctl takes back only what its own record names"
_CNI = re.compile(r"flannel|calico|canal|weave|cilium|kube-router|kindnet|antrea|multus|ovn|aws", re.IGNORECASE)
_LINKS = re.compile(
    r"^(cilium_\w+|lxc_health|lxc[0-9a-f]{9,12}|flannel[.\d-]+|cni0|kube-ipvs0|cali[0-9a-f]{11}|vxlan\.calico|weave"
    r"|kube-bridge|nodelocaldns|antrea-gw0)$"
)


class _Stage(NamedTuple):
    """there: what is there, for people. complete: a cluster that works. how: what else is known of it."""

    there: tuple[str, ...]
    complete: str = ""
    finished: bool = False


def _there(facts: Facts) -> tuple[str, ...]:
    """Files of a cluster, as exact as the facts are."""
    cluster = facts[Cluster]
    files = {
        ADMIN: cluster.admin_conf,
        KUBELET: cluster.kubelet_conf,
        f"{_BASE}/bootstrap-kubelet.conf": cluster.bootstrap_conf,
        f"{_BASE}/pki/ca.crt": cluster.ca,
    }
    ours = [name for name in facts[StaticPods].manifests if name.removesuffix(".yaml") in COMPONENTS]
    etcd = ("/var/lib/etcd",) if facts[EtcdData].present else ()
    return (*(path for path, is_there in files.items() if is_there), *(f"{_BASE}/manifests/{n}" for n in ours), *etcd)


def _stage(facts: Facts) -> _Stage:
    there, cluster, api, configs = _there(facts), facts[Cluster], facts.get(ClusterApi), facts.get(Kubeconfigs)
    kubelet = configs.found.get(KUBELET) if configs else None
    # kubeadm's kubelet-finalize, after it uploaded its configuration; what cannot be read is not taken for half-made
    finished = bool(kubelet and kubelet.rotated) or Kubeconfigs in facts.unread()
    if api and api.answers and api.configuration:
        return _Stage(there, "this node's own cluster", finished)
    joined = cluster.kubelet_conf and cluster.ca and not cluster.bootstrap_conf and not cluster.admin_conf
    if joined and not facts[StaticPods].control_plane:
        return _Stage(there, "a worker of its cluster", finished)
    return _Stage(there, "", finished)


@check(
    "kubernetes.leftovers",
    "No half-made cluster is in the way",
    reads=(Cluster, StaticPods, EtcdData, ControlPlane, BegunHere),
    why="kubeadm begins over nothing: `[ERROR FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml]: already exists`,"
    " `[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty`.",
    fix="Take down what is left with the tool that made it; where caasctl began it, kubeadm reset, then init-node again.",
    source="kubeadm: preflight checks FileAvailable, DirAvailable; init phase kubelet-finalize",
    gates=("kubeadm",),
    after=("kubernetes.other_cluster",),
)
def leftovers(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/kubernetes, /var/lib/etcd, whether the API server answers, caasctl's record."""
    stage = _stage(facts)
    if stage.complete:
        yield _complete(stage, profile)
    elif stage.there:
        yield _partial(stage, facts)
    else:
        yield passed("none")


def _complete(stage: _Stage, profile: NodeProfile) -> Finding:
    if stage.complete.startswith("a worker") and profile.begins_cluster:
        return failed(
            f"{stage.complete}: {', '.join(stage.there)}",
            wanted="a node of no cluster, or a profile of role worker",
            cause=f"The profile's role is {profile.spec.role}: it would begin a cluster, and this node is in one.",
            fix=Fix("caasctl init-node --profile worker, or take the node out of its cluster first", FixKind.EDIT),
        )
    return passed(stage.complete)


def _partial(stage: _Stage, facts: Facts) -> Finding:
    api, begun = facts.get(ClusterApi), facts[BegunHere].resources
    found = f"begun, not finished: {', '.join(stage.there)}"
    if api is None and facts[Cluster].admin_conf:
        return unknown(f"files of a cluster; whether it works cannot be seen: {facts.unread().get(ClusterApi, '')}")
    whole = facts[ControlPlane].whole
    if (whole or stage.finished) and not (api and api.answers):
        said = f"the API server does not answer: {api.said}" if api and api.said else "the API server does not answer"
        return _silent(
            f"{'all files of a control plane' if whole else 'a cluster was made here'}, and {said}", stage, facts
        )
    cut_short = begun and not stage.finished
    fix = _again(facts) if cut_short else Fix(_WHO, FixKind.WAIT)
    cause = "" if not cut_short else f"caasctl's own record names {', '.join(begun)}: it was cut short."
    return failed(found, wanted="nothing, or a whole cluster", cause=cause, fix=fix)


def _again(facts: Facts) -> Fix:
    """A node that was to join has no place of its own to begin in."""
    if "kubeadm:join" in facts[BegunHere].resources:
        return Fix(
            f"`{_RESET}`, then the `caasctl join-node` of before, with a token that is still valid", FixKind.EDIT
        )
    return Fix(f"{_RESET} && caasctl init-node")


def _silent(found: str, stage: _Stage, facts: Facts) -> Finding:
    clock = facts.get(Clock)
    cause = "The control plane is down, or the beginning was killed before it came up."
    fix = _again(facts) if facts[BegunHere].resources and not stage.finished else Fix(_LOOK)
    if clock and clock.settles:
        cause = f"The node booted {clock.up_s} s ago: the kubelet may still be starting the control plane."
        fix = Fix(
            f"wait until {COMES_UP_S} s after the boot, as `caasctl init-node` does by itself; then `{_LOOK}`",
            FixKind.WAIT,
        )
    there = tuple(Evidence(path, "is there") for path in stage.there[:6])
    return failed(found, wanted="a control plane that works, or none", cause=cause, fix=fix, evidence=there)


@check(
    "kubernetes.network_leftovers",
    "No network of an earlier cluster is left",
    reads=(Cluster, CniFiles, Links),
    why="containerd takes the first file of /etc/cni/net.d, and the kernel takes an old interface's routes: pods get addresses"
    " of a network that is gone.",
    fix="Remove the files and interfaces that the finding names; kubeadm reset leaves them.",
    source="kubeadm reset: `The reset process does not clean CNI configuration`; cilium#42383, #13766",
)
def network_leftovers(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/cni/net.d and the names of interfaces, on a node that has no cluster."""
    if facts[Cluster].begun or facts[Cluster].others:
        return
    files = [f"{CNI_FOLDER}/{name}" for name in facts[CniFiles].names if _CNI.search(name)]
    links = [link.name for link in facts[Links].links if _LINKS.match(link.name)]
    if files:
        yield warned(", ".join(files), wanted="none before Cilium brings its own", subject="configuration",
                     fix=Fix(f"rm {' '.join(files)}"))  # fmt: skip
    if links:
        named = ", ".join(links[:5]) + (f" and {len(links) - 5} more" if len(links) > 5 else "")  # noqa: PLR2004
        yield warned(named, wanted="none before Cilium brings its own", subject="interfaces",
                     fix=Fix("; ".join(f"ip link delete {name}" for name in links)))  # fmt: skip
    if not files and not links:
        yield passed("none")


@check(
    "kubernetes.kubeconfig_stale",
    "root's kubeconfig is of the cluster that runs here",
    reads=(Kubeconfigs,),
    why="After a cluster is made anew the old file has the old CA: `x509: certificate signed by unknown authority (possibly"
    ' because of "crypto/rsa: verification error")`.',
    fix="Copy /etc/kubernetes/admin.conf over ~/.kube/config.",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/troubleshooting-kubeadm/",
)
def kubeconfig_stale(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Server and CA in /root/.kube/config and /etc/kubernetes/admin.conf; a file of another server is none of ours."""
    admin, user = facts[Kubeconfigs].found.get(ADMIN), facts[Kubeconfigs].found.get(USER)
    if not admin or not user or admin.server != user.server:
        return
    if admin.ca == user.ca:
        yield passed(f"{user.server}, the same CA")
    else:
        yield warned(f"{USER}: {user.server} with the CA of another cluster", wanted=f"the CA of {ADMIN}",
                     fix=Fix(f"install -m 0600 {ADMIN} {USER}"))  # fmt: skip


CHECKS: tuple[Check, ...] = (leftovers, network_leftovers, kubeconfig_stale)
