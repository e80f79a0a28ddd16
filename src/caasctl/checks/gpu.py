"""GPUs to pass through: there, bound to vfio-pci with all that belongs to them, held by nobody who should not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_vfio import Holder, VfioNodes
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.gpu import VFIO_PCI, GpuGroup, groups, is_switch, selection, to_bind
from caasctl.profile import NodeProfile
from caasctl.syntax.pci import slot

_PHASE = "gpu"
_INIT = Fix("caasctl init-node")
_SOME = 8  # addresses that a line holds; a host with more has them in `caasctl gpu list`


@check(
    "gpu.present",
    "There is a GPU to pass through",
    reads=(PciFunctions, PciDetails),
    why="The profile insists on passing GPUs through (spec.gpu.passthrough: required), and its spec.gpu.select meets no "
    "function: a card that the firmware has not enumerated is in no list.",
    fix="Compare `caasctl gpu list` and `lspci -nn` with spec.gpu.select; look for the card in the firmware's PCIe menu.",
    source="/sys/bus/pci/devices",
    gates=("gpu",),
)
def present(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Vendor, device, class and address of every function in /sys/bus/pci/devices, against spec.gpu.select."""
    found = selection(facts, profile)
    total = len(facts[PciFunctions].functions)
    if found:
        evidence = tuple(Evidence(f.address, f"class {f.class_code}, {f.driver or 'no driver'}") for f in found[:_SOME])
        yield passed(_models(found), evidence=evidence)
    elif profile.spec.gpu.passthrough == "required":
        gpu = profile.spec.gpu
        meant = facts[PciFunctions].selected(replace(gpu, exclude=()))
        out = f"; excluded: {', '.join(f.address for f in meant[:_SOME])}" if meant else ""
        fix = Fix("take one of them out of spec.gpu.exclude", FixKind.EDIT) if meant else Fix(
            "lspci -nn | grep -i -e nvidia -e '\\[03' -e '\\[12'   # then mend spec.gpu.select, or look for the card in the firmware"
        )  # fmt: skip
        yield failed(
            f"none of {total} PCI functions is selected{out}", wanted="a function that spec.gpu.select meets", fix=fix
        )


def _models(functions: tuple[PciFunction, ...]) -> str:
    counts = Counter(f"{f.vendor}:{f.device}" + (" (NVSwitch)" if is_switch(f) else "") for f in functions)
    return ", ".join(f"{count} x {model}" for model, count in counts.items())


@check(
    "gpu.bound",
    "vfio-pci drives the GPUs and all that is in their groups",
    reads=(PciFunctions, PciDetails, PciUse),
    why="A guest gets what vfio-pci drives, and only where the whole group is: QEMU otherwise says `error getting device from "
    "group` or `group is not viable`.",
    fix="Phase gpu binds them, now and at every boot.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    fixed_by=_PHASE,
    after=("iommu.firmware", "iommu.enabled"),
)
def bound(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The driver of every function of the groups that can be passed through."""
    wanted = to_bind(facts, profile)
    elsewhere = [function for function in wanted if function.driver != VFIO_PCI]
    if elsewhere:
        said = ", ".join(f"{f.address} ({f.driver or 'no driver'})" for f in elsewhere[:_SOME])
        more = f" and {len(elsewhere) - _SOME} more" if len(elsewhere) > _SOME else ""
        yield failed(f"{said}{more}", wanted=VFIO_PCI, fix=_INIT)
    elif wanted:
        yield passed(f"{len(wanted)} on {VFIO_PCI}")
    elif groups(facts, profile):
        yield warned("nothing is bound: the host keeps the group of every selected GPU", wanted="a group that it can spare",
                     cause="what is refused stays as it is, whether the check that says so is waived or not",
                     fix=Fix("caasctl gpu list   # says why, for each"), fixed_by="")  # fmt: skip


@check(
    "gpu.companions",
    "A card's sound, USB and UCSI functions go with its GPU",
    reads=(PciFunctions, PciDetails, PciUse),
    why="A reset of the card resets them too, under the host driver that uses them; the kernel ties their power to the GPU's.",
    fix="Select the function by its address as well.",
    source="Linux drivers/pci/quirks.c: quirk_gpu_hda, quirk_gpu_usb, quirk_gpu_usb_typec_ucsi",
    after=("iommu.firmware", "iommu.enabled"),
)
def companions(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Other functions in a selected function's slot, the consumer: links of its folder, their groups and drivers."""
    chosen = selection(facts, profile)
    details = facts[PciDetails]
    cards = {slot(f.address): f for f in reversed(chosen) if not details.of(f.address).physfn}
    tied = {other for f in chosen for other in details.of(f.address).consumers}
    taken = {f.address for group in groups(facts, profile) for f in group.members}
    asked = {function.address for function in chosen}
    beside = [f for f in facts[PciFunctions].functions if f.address not in asked and not f.bridge
              and (slot(f.address) in cards or f.address in tied) and not details.of(f.address).physfn]  # fmt: skip
    left = [f for f in beside if f.address not in taken and f.driver not in ("", VFIO_PCI)]
    for function in left:
        fix = Fix(f'in the profile: add {{address: "{function.address}"}} to spec.gpu.select', FixKind.EDIT)
        yield warned(f"driven by {function.driver}, in group {function.iommu_group or 'none'}", wanted="with its GPU",
                     subject=function.address, fix=fix)  # fmt: skip
    if beside and not left:
        yield passed(", ".join(function.address for function in beside[:_SOME]))


@check(
    "gpu.sriov",
    "No virtual functions keep a GPU from being bound",
    reads=(PciFunctions, PciDetails),
    why="vfio-pci refuses a physical function whose virtual ones are on (`Cannot bind to PF with SR-IOV enabled`, error -16), "
    "and once its driver is gone they cannot be switched off any more.",
    fix="Phase gpu writes 0 to sriov_numvfs before it takes the driver away.",
    source="Linux drivers/vfio/pci/vfio_pci_core.c",
    fixed_by=_PHASE,
    after=("iommu.firmware", "iommu.enabled"),
)
def sriov(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """sriov_numvfs and sriov_totalvfs of the selected functions."""
    details = facts[PciDetails]
    able = [(f, details.of(f.address)) for f in selection(facts, profile) if details.of(f.address).max_vfs]
    on = [(function, detail) for function, detail in able if detail.vfs and function.driver != VFIO_PCI]
    for function, detail in on:
        yield failed(f"{detail.vfs} of {detail.max_vfs} are on", wanted="0", subject=function.address, fix=_INIT)
    if able and not on:
        yield passed(f"none on, {len(able)} functions could")


@check(
    "gpu.holders",
    "Nobody holds a GPU that is still to be bound",
    reads=(PciFunctions, PciDetails, PciUse, VfioNodes),
    why="A function that a virtual machine has open is not torn from it: an unbind would wait for it without end, and the guest "
    "would lose its device.",
    fix="Stop the virtual machine or program that holds it.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def holders(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/dev/vfio, and /proc/PID/fd of every process."""
    nodes = facts[VfioNodes]
    held = {group.number: _holders(facts, group) for group in groups(facts, profile)}
    waiting = [group for group in groups(facts, profile) if not group.refused and not group.bound]
    for group in waiting:
        for holder in held[group.number]:
            yield failed(f"{holder.command} (process {holder.pid}) holds {holder.node}", wanted="nobody",
                         subject=f"group {group.number}", fix=Fix(_stop(holder), FixKind.WAIT))  # fmt: skip
    if any(held[group.number] for group in waiting):
        return
    if waiting and nodes.groups and not nodes.complete:
        yield unknown("only root sees what other users' processes hold", fix=Fix("run as root"))
        return
    busy = sorted({f"{holder.command} ({holder.pid})" for found in held.values() for holder in found})
    if busy or nodes.groups:
        yield passed(f"in use by {', '.join(busy)}" if busy else "nobody holds one")


def _holders(facts: Facts, group: GpuGroup) -> tuple[Holder, ...]:
    devices = {facts[PciDetails].of(member.address).vfio_device for member in group.members}
    mine = {f"/dev/vfio/{group.number}", *(f"/dev/vfio/devices/{name}" for name in devices if name)}
    return tuple(holder for holder in facts[VfioNodes].holders if holder.node in mine)


def _stop(holder: Holder) -> str:
    return f"stop the virtual machine or program of process {holder.pid} (systemctl status {holder.pid} names its unit)"


CHECKS = (present, bound, companions, sriov, holders)
