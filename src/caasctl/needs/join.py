"""Whether and how a node is still to join a cluster."""

from __future__ import annotations

from caasctl.facts.kubernetes import Cluster
from caasctl.model import Facts
from caasctl.profile import Join, NodeProfile


def joins(facts: Facts, profile: NodeProfile) -> Join | None:
    """How this node is to join; None where it joins nothing, or has joined: its token may have expired since."""
    if profile.join is None:
        return None
    cluster = facts[Cluster]
    return None if cluster.kubelet_conf and not cluster.bootstrap_conf else profile.join
