"""What of a live cluster is this host's: its node, and the pods that are here or nowhere yet."""

from caasctl.needs.live.node import address_of, node_of, pods_here

__all__ = ["address_of", "node_of", "pods_here"]
