"""Which node of the cluster this host is, and whose pods are its matter."""

from __future__ import annotations

from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.facts.network import Links
from caasctl.model import Facts
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.live.pods import Pod


def node_of(facts: Facts) -> Node | None:
    """By its name, else by an address of this host; the only node where neither is seen. None where none is known to be it."""
    found, links = facts.get(LiveObjects), facts.get(Links)
    if found is None:
        return None
    here = (
        {address.ip for link in links.links for address in link.addresses if address.scope == "global"}
        if links
        else set()
    )
    by_name = (node for node in found.nodes if node.name == found.name)
    by_address = (node for node in found.nodes if here & {ip for kind, ip in node.addresses if kind == "InternalIP"})
    return next(by_name, next(by_address, None)) or _only(found, here)


def _only(found: LiveObjects, here: set[str]) -> Node | None:
    return found.nodes[0] if len(found.nodes) == 1 and not (here and found.name) else None


def address_of(node: Node) -> str:
    return next((ip for kind, ip in node.addresses if kind == "InternalIP"), "")


def pods_here(facts: Facts) -> tuple[Pod, ...]:
    """Pods on this host's node, and those on none; all where the node cannot be told. Raises FactUnread."""
    pods, node = facts[LivePods], node_of(facts)
    name = node.name if node else pods.node
    known = node is not None or pods.here
    return tuple(pod for pod in pods.pods if not known or pod.node in ("", name))
