"""Whether what lies on a host is caasctl's: for the phases of a reset and for what is said before it."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster, StaticPods
from caasctl.facts.ownership import CONTAINERD, FILES, OwnFiles, Record
from caasctl.model import Facts
from caasctl.syntax import kubeadm

_BEGAN = frozenset({kubeadm.INIT, kubeadm.JOIN})
_CILIUM = "helm:cilium"


def cluster_is_ours(facts: Facts) -> bool:
    """By the record; where that is lost, by caasctl's own folder: only a run that began or joined a cluster writes there.

    Neither counts where somebody else began one meanwhile: a run records what it is about to begin, and may have failed.
    """
    record, own = facts[Record], facts[OwnFiles]
    return not own.foreign and bool(record.begun or (own.folder and not record.resources & _BEGAN))


def holds_etcd(facts: Facts) -> bool:
    """Whether etcd's data here is this cluster's: kubeadm begins, and a control plane joins, over an empty folder only."""
    planes = {kubeadm.CONFIG, kubeadm.ADMISSION} & set(facts[OwnFiles].folder)
    return kubeadm.INIT in facts[Record].begun or bool(planes) or "etcd.yaml" in facts[StaticPods].manifests


def left_network(facts: Facts) -> bool:
    """Whether what Cilium and the kubelet left is of a cluster of ours: one that still is, or was, with no other's here."""
    if cluster_is_ours(facts):
        return True
    cluster = facts[Cluster]
    return bool(facts[Record].resources & {*_BEGAN, _CILIUM}) and not cluster.begun and not cluster.others


def is_ours(facts: Facts, path: str) -> bool:
    """Whether a file with caasctl's header holds what caasctl wrote, as far as the record knows."""
    digest, written = facts[OwnFiles].found.get(path), facts[Record].written.get(path)
    return digest is not None and (not written or digest in written)


def edited(facts: Facts) -> Iterator[str]:
    """The files with caasctl's header that somebody edited since."""
    yield from (path for path in FILES if path in facts[OwnFiles].found and not is_ours(facts, path))


def touched_containerd(facts: Facts) -> bool:
    return "containerd" in facts[Record].resources or CONTAINERD in facts[OwnFiles].found or cluster_is_ours(facts)
