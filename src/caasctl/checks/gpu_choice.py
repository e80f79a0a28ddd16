"""What the profile chooses for guests and what it leaves to the host: named rightly, given back, and the fabric between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.ownership import GPU_SCRIPT
from caasctl.model import Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.gpu import NVIDIA, NVSWITCH, VFIO_PCI, exclusion, is_gpu, is_switch, selecting, selection, to_bind
from caasctl.profile import GpuSelector, NodeProfile
from caasctl.syntax.pci import full, slot

_SWITCHES = GpuSelector(vendor=NVIDIA, class_="0680")
_SOME = 8
_DOMAINS = {"1002": "amd.com", "8086": "intel.com"}
_FABRIC_MANAGER = "nvidia-fabricmanager.service"


@check(
    "gpu.named",
    "Every address that the profile names is on this host",
    reads=(PciFunctions, PciDetails),
    why="An address that is misspelt protects nothing: the card that was to stay with the host goes to guests with the others.",
    fix="Mend spec.gpu.exclude and spec.gpu.select: `lspci -D` shows the addresses, which change when cards are added.",
    source="/sys/bus/pci/devices",
    gates=("gpu",),
)
def named(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Each address of spec.gpu.exclude and spec.gpu.select, against /sys/bus/pci/devices."""
    gpu = profile.spec.gpu
    if gpu.passthrough == "off":
        return
    here = {function.address for function in facts[PciFunctions].functions}
    excluded = [full(address) for address in gpu.exclude] if selection(facts, profile) else []
    asked = [full(selector.address) for selector in gpu.select if selector.address]
    lost = [address for address in excluded if address not in here]
    for address in lost:
        yield failed("excluded, and on this host is no such function", wanted="the address of a function that is here",
                     subject=address, fix=Fix(f"lspci -D   # then mend {address} in spec.gpu.exclude, or take it out", FixKind.EDIT))  # fmt: skip
    make = failed if gpu.passthrough == "required" else warned
    missing = [address for address in asked if address not in here]
    for address in missing:
        yield make("selected, and on this host is no such function", wanted="the address of a function that is here",
                   subject=address, fix=Fix(f"lspci -D   # then mend {address} in spec.gpu.select, or look for the card in the firmware",
                                            FixKind.EDIT))  # fmt: skip
    if (excluded or asked) and not (lost or missing):
        yield passed(", ".join([*asked, *(f"{address} (excluded)" for address in excluded)]))


@check(
    "gpu.nvswitch",
    "The NVLink fabric of the GPUs has one master",
    reads=(PciFunctions, PciDetails, PciUse, NvidiaLeftovers),
    why="On a board with NVSwitches (HGX, DGX) a guest's CUDA starts only once a fabric manager has set the fabric up: "
    "`cudaErrorSystemNotReady`. Who has one switch programs the fabric of all GPUs of the board, those of other tenants too.",
    fix="One guest gets the whole board, switches and all; or the switches stay with Fabric Manager in shared mode (FABRIC_MODE=1), "
    "on the host or in a service guest; or each guest has one GPU, whose driver starts with NVreg_NvLinkDisable=1.",
    source="NVIDIA Fabric Manager user guide; NVIDIA/sandbox-device-plugin v0.0.5",
    after=("iommu.firmware", "iommu.enabled"),
)
def nvswitch(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Functions of vendor 10de and class 0680, whether spec.gpu.select names them, their groups and drivers."""
    switches = [function for function in facts[PciFunctions].functions if is_switch(function)]
    bound, chosen = to_bind(facts, profile), selection(facts, profile)
    gpus = [function for function in chosen if function.vendor == NVIDIA and is_gpu(function) and function in bound]
    given = [function for function in switches if function in chosen]
    kept = [function for function in switches if function not in chosen]
    if given:
        yield from _given(profile, gpus, given)
    elif kept and gpus:
        yield _kept(facts, profile, gpus, kept)


def _given(profile: NodeProfile, gpus: list[PciFunction], given: list[PciFunction]) -> Iterator[Finding]:
    per_group = Counter(function.iommu_group for function in given)
    whole = f"{profile.spec.gpu.resourceName}: {len({f.iommu_group for f in gpus})} and {NVSWITCH}: {len(per_group)}"
    yield warned(f"{len(given)} NVSwitches go to guests: who gets one programs the fabric of the whole board",
                 wanted="one tenant for the whole board", fix=Fix(f"give one pod all of it ({whole}), or leave the switches "
                 f"to the host: {exclusion(profile, *(f.address for f in given))}", FixKind.EDIT))  # fmt: skip
    for group, count in per_group.items():
        if group and count > 1:
            yield warned(f"{count} NVSwitches in one group, as on some HGX boards: one device for pods", wanted="a group for each",
                         subject=f"group {group}", cause="NVIDIA's sandbox device plugin names one CDI device twice and writes no "
                         'file of its own ("invalid spec, multiple device")',
                         fix=Fix("ACS on; where it stays so, caasctl's own CDI file names the group once",
                                 FixKind.FIRMWARE, needs_reboot=True))  # fmt: skip


def _kept(facts: Facts, profile: NodeProfile, gpus: list[PciFunction], kept: list[PciFunction]) -> Finding:
    managed = _FABRIC_MANAGER in facts[NvidiaLeftovers].units and all(f.driver == "nvidia" for f in kept)
    if managed:
        return passed(f"{len(kept)} NVSwitches stay with the host's Fabric Manager; its guests need FABRIC_MODE=1")
    return warned(f"{len(gpus)} GPUs go to guests, {len(kept)} NVSwitches stay, and no fabric manager of this host has them",
                  wanted="a fabric manager in charge", fix=Fix(
                      f"the whole board to one guest: {selecting(profile, _SWITCHES)}; else Fabric Manager with FABRIC_MODE=1 on "
                      "this host or in a service guest, or guests of one GPU with NVreg_NvLinkDisable=1", FixKind.EDIT))  # fmt: skip


@check(
    "gpu.given_back",
    "What stays with the host is not on vfio-pci",
    reads=(PciFunctions, PciDetails, PciUse),
    why="A card that was bound for guests stays on vfio-pci until the next boot when the profile changes its mind, and NVIDIA's "
    "device plugin offers every GPU and switch that vfio-pci drives.",
    fix="Reboot after `caasctl init-node`, or release it; a binding that is not caasctl's (vfio-pci.ids=, driverctl) is yours to undo.",
    source="NVIDIA/sandbox-device-plugin v0.0.5; gpu.sh of caasctl",
)
def given_back(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The driver of each function that spec.gpu.exclude names, and of GPUs and NVSwitches of NVIDIA's that are not selected."""
    gpu, every = profile.spec.gpu, facts[PciFunctions].functions
    if gpu.passthrough == "off":
        return
    excluded, chosen = {full(address) for address in gpu.exclude}, selection(facts, profile)
    offered = [f for f in every if f not in chosen and f.vendor == NVIDIA and (is_gpu(f) or is_switch(f))]
    left = [f for f in every if f in offered or f.address in excluded]
    bound = [f for f in left if f.driver == VFIO_PCI]
    for function in bound:
        word = "excluded" if function.address in excluded else "not selected"
        yield warned(f"{word}, still on {VFIO_PCI}", wanted="the host's driver or none", subject=function.address,
                     fix=_back(facts, profile, bound))  # fmt: skip
    if left and not bound:
        yield passed(", ".join(f"{f.address} ({f.driver or 'no driver'})" for f in left[:_SOME]))


def _back(facts: Facts, profile: NodeProfile, bound: list[PciFunction]) -> Fix:
    """The script stays where a card is left for guests; the table in it, which init-node writes, must not name these."""
    wanted = to_bind(facts, profile)
    if not wanted:
        return Fix("caasctl init-node --phase gpu   # the next boot gives it back", needs_reboot=True)
    cards = {slot(function.address) for function in bound}
    every = [f for f in facts[PciFunctions].functions
             if slot(f.address) in cards and f.driver == VFIO_PCI and f not in wanted]  # fmt: skip
    release = f"sh {GPU_SCRIPT} release {' '.join(f'{function.address}=' for function in every)}"
    return Fix(f"caasctl init-node --phase gpu && {release}   # or a reboot in place of the second")


@check(
    "gpu.resource_name",
    "The GPUs' resource bears the name of their vendor",
    reads=(PciFunctions, PciDetails),
    why="Pods ask for what the resource says: one that asks for nvidia.com/... expects NVIDIA's, and NVIDIA's device plugin offers "
    "no other.",
    fix="Set spec.gpu.resourceName to a name of the cards' vendor.",
    source="https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/",
)
def resource_name(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The domain of spec.gpu.resourceName, and the vendors of the selected functions."""
    name = profile.spec.gpu.resourceName
    foreign = [f for f in selection(facts, profile) if f.vendor != NVIDIA and is_gpu(f)]
    if name.startswith("nvidia.com/") and foreign:
        found = ", ".join(f"{f.address} ({f.vendor}:{f.device})" for f in foreign[:_SOME])
        domain = _DOMAINS.get(foreign[0].vendor, "example.com")
        yield warned(f"{name} for {found}", wanted="a name of the vendor's",
                     fix=Fix(f"--set 'gpu.resourceName=\"{domain}/gpu\"'", FixKind.EDIT))  # fmt: skip


CHECKS = (named, nvswitch, given_back, resource_name)
