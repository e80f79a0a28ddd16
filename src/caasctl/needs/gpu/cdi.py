"""CDI as a node with GPUs needs it: whom a bad specification hurts, and what VFIO's nodes lead to here."""

from __future__ import annotations

from collections import defaultdict

from caasctl.facts.cdi import VfioCharacterDevices
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi.lint import Functions

GPU_HANDLER = "kata-qemu-nvidia-gpu"


def selected(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    """What the profile passes through of what this host has; () where that is not known."""
    found = facts.get(PciFunctions)
    return found.selected(profile.spec.gpu) if found else ()


def hands_out_gpus(facts: Facts, profile: NodeProfile) -> bool:
    """Whether Kata's Go runtime reads CDI here: for every pod that gets a GPU."""
    gpu = profile.spec.gpu
    return gpu.passthrough != "off" and (GPU_HANDLER in profile.spec.runtimes or bool(selected(facts, profile)))


def behind_nodes(facts: Facts) -> Functions:
    """Where each node of VFIO leads: a group to all its functions but bridges, a character device to one."""
    groups: dict[str, list[str]] = defaultdict(list)
    for function in facts[PciFunctions].functions:
        if function.iommu_group and not function.bridge:
            groups[function.iommu_group].append(function.address)
    characters = facts[VfioCharacterDevices].addresses
    return Functions({number: tuple(addresses) for number, addresses in groups.items()}, characters)
