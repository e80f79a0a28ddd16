"""What an operator or a plugin that is gone left of GPUs in the node's object."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_node import GpuNode
from caasctl.model import Check, Facts, Finding, Fix, check, passed, warned
from caasctl.needs.gpu import NVIDIA, NVSWITCH, VFIO_PCI, is_gpu, selection
from caasctl.profile import NodeProfile


@check(
    "gpu.node_object",
    "The node object promises no GPU that nobody serves",
    reads=(GpuNode, PciFunctions, PciDetails),
    why="The kubelet never forgets a resource: after its plugin is gone it stays, with 0 or with a number that no driver is behind, and "
    "pods that ask for the old name stay Pending with `Insufficient nvidia.com/gpu`. Labels of the GPU operator draw its pods here.",
    fix="Take the old resource and labels from the node by kubectl.",
    source="kubernetes pkg/kubelet/cm/devicemanager; NVIDIA/gpu-operator controllers/state_manager.go; field reports",
)
def node_object(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Labels and capacity of this node below nvidia.com, by kubectl as its kubelet, where an API server answers."""
    node = facts[GpuNode]
    if not node.asked or not selection(facts, profile) or _drives_some(facts):
        return
    served = {profile.spec.gpu.resourceName, NVSWITCH}
    names = [name for name in node.capacity if name not in served]
    if names:
        yield warned(", ".join(f"{name}: {node.capacity[name]}" for name in names), wanted=f"{profile.spec.gpu.resourceName} alone",
                     subject="resources", fix=Fix(_patch(node.name, names)))  # fmt: skip
    labels = [key for key in node.labels if key.startswith("nvidia.com/gpu")]
    if labels:
        yield warned(", ".join(f"{key}={node.labels[key]}" for key in labels), wanted="none of the GPU operator's", subject="labels",
                     fix=Fix(f"kubectl label node {node.name} {' '.join(f'{key}-' for key in labels)}"))  # fmt: skip
    if not names and not labels:
        yield passed(
            ", ".join(f"{name}: {number}" for name, number in node.capacity.items()) or "nothing of nvidia.com"
        )


def _drives_some(facts: Facts) -> bool:
    """Whether a driver of the host has one of NVIDIA's GPUs, for containers of runc: then the names are in use."""
    every = facts[PciFunctions].functions
    return any(f.vendor == NVIDIA and is_gpu(f) and f.driver not in ("", VFIO_PCI) for f in every)


def _patch(node: str, names: list[str]) -> str:
    """The kubelet puts back what a plugin still registers, and nothing else."""
    path = (name.replace("~", "~0").replace("/", "~1") for name in names)
    steps = ", ".join(f'{{"op": "remove", "path": "/status/capacity/{each}"}}' for each in path)
    return f"kubectl patch node {node} --subresource=status --type=json -p '[{steps}]'"


CHECKS: tuple[Check, ...] = (node_object,)
