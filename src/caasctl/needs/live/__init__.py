"""What of a live cluster is this host's: its node, the pods that are here or nowhere yet, and what RuntimeClasses lead to."""

from caasctl.needs.live.node import address_of, node_of, pods_here
from caasctl.needs.live.runtime import Step, fits, runtime_steps

__all__ = ["Step", "address_of", "fits", "node_of", "pods_here", "runtime_steps"]
