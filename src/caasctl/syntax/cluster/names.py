"""What caasctl's objects in a cluster are called, and how they are told from those of others."""

from __future__ import annotations

MANAGER = "caasctl"  # of server-side apply, and of the label that every object of ours bears
MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
OURS = {MANAGED_BY: MANAGER}
HANDLERS = ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu")  # every one that a profile can have
GPU_HANDLER = "kata-qemu-nvidia-gpu"
GPU_NAMESPACE, PLUGIN = "caasctl-gpu", "sandbox-device-plugin"
PLUGIN_DOMAIN = "nvidia.com"  # compiled into NVIDIA's plugin: all that it offers is called so


def label(handler: str) -> str:
    """The label of a node that has a handler."""
    return f"caasctl.io/{handler}"
