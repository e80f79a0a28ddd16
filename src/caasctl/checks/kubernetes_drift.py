"""A cluster that lives is not begun anew: what its profile asks for since then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KUBEADM_FILE, KubeadmFile
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_routes import Routes
from caasctl.facts.os import Cpu, Memory
from caasctl.facts.os_system import Hostname
from caasctl.model import CaasError, Check, Evidence, Facts, Finding, Fix, FixKind, check, passed, warned
from caasctl.needs.kubernetes.documents import documents
from caasctl.needs.network import node_addresses, ranges
from caasctl.profile import NodeProfile

_SHOWN = 8  # of differing fields, as evidence


@check(
    "kubernetes.config_drift",
    "The cluster was begun by what the profile says",
    reads=(KubeadmFile, ClusterApi, ControlPlane, Links, Routes, Resolvers, Cpu, Memory, Hostname),
    why="A cluster that lives is not begun anew: caasctl leaves its documents as they are, and what the profile asks for since"
    " then is not so.",
    fix="Take the profile's change back, or make it in the cluster by kubeadm's own ways.",
    source="docs/adr/0007-a-cluster-is-begun-once.md",
)
def config_drift(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/kubernetes/caasctl/kubeadm.yaml of a cluster that answers, beside what would be written there today."""
    written = facts[KubeadmFile].data
    if not written or not profile.begins_cluster or not facts[ClusterApi].configuration:
        return
    try:
        wanted = documents(facts, profile, ranges(facts, profile), node_addresses(facts, profile))
    except CaasError:
        return  # ranges or addresses that cannot be had are the findings of network.*
    found = tuple(differing(written, wanted))
    yield from found or (passed("as the profile says"),)


def differing(written: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """What the profile now asks of a cluster's documents that differs from the file by which the cluster was begun."""
    now, then = _leaves(wanted), _leaves(written)
    changed = sorted(path for path in {*now, *then} if now.get(path) != then.get(path))
    if not changed:
        return
    first = changed[0]
    more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
    yield warned(
        f"{first}: {then.get(first, 'not set')} in the cluster, {now.get(first, 'not set')} by the profile{more}",
        wanted="a profile that says what the cluster is",
        subject=KUBEADM_FILE,
        fix=Fix(
            "take the profile's change back, or make it in the cluster: kubectl -n kube-system edit configmap kubeadm-config",
            FixKind.EDIT,
        ),
        evidence=tuple(Evidence(KUBEADM_FILE, f"{path}: {then.get(path, 'not set')}") for path in changed[:_SHOWN]),
    )


def _leaves(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """ClusterConfiguration.networking.podSubnet -> its value as JSON; a list is one value."""
    found: dict[str, str] = {}
    for document in documents:
        found |= _below(document, str(document.get("kind", "")))
    return found


def _below(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {path: json.dumps(value, default=list)}
    return {leaf: said for key, inner in value.items() for leaf, said in _below(inner, f"{path}.{key}").items()}


CHECKS: tuple[Check, ...] = (config_drift,)
