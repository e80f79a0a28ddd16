"""What Kata's configuration is told: the annotations that pods may set, and root ports for the GPUs of this host."""

from __future__ import annotations

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.model import Facts
from caasctl.profile import GPU_HANDLER, NodeProfile

PORTS_OF_VENDOR = 8  # pcie_root_port of Kata's configuration for NVIDIA's GPUs
MOST_PORTS = 16  # kata: qemu.go, maxPCIeRootPort: beyond it a sandbox is refused


def gpu_ports(facts: Facts, profile: NodeProfile, handler: str) -> int:
    """Root ports for every function that may go into one guest; 0 for a handler that passes none."""
    if handler != GPU_HANDLER:
        return 0
    return min(max(len(passed(facts, profile)), PORTS_OF_VENDOR), MOST_PORTS)


def passed(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    """The functions that would go into a guest with all GPUs: each card's other functions (sound, USB) too.

    By slot, not by IOMMU group: groups are only known once the IOMMU is on.
    """
    functions = facts.get(PciFunctions)
    if not functions:
        return ()
    slots = {_slot(function) for function in functions.selected(profile.spec.gpu)}
    return tuple(function for function in functions.functions if not function.bridge and _slot(function) in slots)


def _slot(function: PciFunction) -> str:
    return function.address.rpartition(".")[0]
