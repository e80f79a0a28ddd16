"""The cards themselves: answering, with their memory windows, a way to reset them, a full link, and not the console's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetail, PciDetails, PciLink
from caasctl.facts.os import KernelConfig
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.gpu import NVIDIA, exclusion, is_console, is_lost, is_switch, selecting, selection
from caasctl.profile import GpuSelector, NodeProfile
from caasctl.syntax.pci import size, speed

_APERTURE = 64 << 20  # every GPU of NVIDIA's that has a driver today shows at least so much of its memory
_ABOVE_4G = Fix(
    "switch on Above 4G Decoding, and raise MMIO High Base and Size (in a virtual machine: a larger 64-bit PCI window)",
    FixKind.FIRMWARE, needs_reboot=True,
)  # fmt: skip


def _cards(facts: Facts, profile: NodeProfile) -> Iterator[tuple[PciFunction, PciDetail]]:
    """The selected functions that answer and whose folder is sysfs's own, so that what is not there says something."""
    for function in selection(facts, profile):
        detail = facts[PciDetails].of(function.address)
        if detail.complete and not is_lost(facts, function):
            yield function, detail


@check(
    "gpu.fell_off",
    "Every GPU answers",
    reads=(PciFunctions, PciDetails),
    why="A card that fell off the bus answers nothing but ones (lspci: rev ff); a guest that gets it does not start: `Unable to "
    "change power state from D3cold to D0, device inaccessible`.",
    fix="Go on without it (spec.gpu.exclude), then drain the node, power it off and on: a reboot alone does not bring a card back. "
    "If it happens again, see to seat and power; `journalctl -k | grep -e Xid -e pcieport` says when.",
    source="NVIDIA Xid 79: GPU has fallen off the bus",
    gates=("gpu",),
)
def fell_off(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Vendor and link registers of each selected function."""
    chosen = selection(facts, profile)
    lost = [function for function in chosen if is_lost(facts, function)]
    without = exclusion(profile, *(function.address for function in lost))
    for function in lost:
        fix = Fix(f"go on without it: {without}; to have it back, drain the node (kubectl drain), power it off, and on again",
                  FixKind.EDIT)  # fmt: skip
        yield failed("its registers read as all ones", wanted="an answer", subject=function.address, fix=fix,
                     evidence=(Evidence(f"/sys/bus/pci/devices/{function.address}", "vendor or link width all ones"),))  # fmt: skip
    silent = [f for f in chosen if "current_link_width" in facts[PciDetails].of(f.address).unread]
    for function in silent:
        yield unknown("its link registers cannot be read", subject=function.address)
    asked = [f for f, detail in _cards(facts, profile) if detail.link]
    if asked and not lost and not silent:
        yield passed(f"{len(asked)} answer")


@check(
    "gpu.bars_assigned",
    "Every memory window of the GPUs has an address",
    reads=(PciFunctions, PciDetails),
    why="The firmware left no room for it (`BAR 1: can't assign; no space`): in the guest the driver stops with `NVRM: This PCI "
    "I/O region assigned to your NVIDIA device is invalid`.",
    fix="Switch on Above 4G Decoding in the firmware, and give 64-bit MMIO room for all cards; pci=realloc as a last resort.",
    source="Linux drivers/pci/setup-res.c",
)
def bars_assigned(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`resource` of each selected function: addresses and sizes of its BARs."""
    good = []
    for function, detail in _cards(facts, profile):
        said = _bars_problem(function, detail)
        if said:
            yield failed(said, wanted="an address for each", subject=function.address, fix=_ABOVE_4G)
        elif detail.bars:
            good.append(f"{function.address} {size(sum(bar.size for bar in detail.bars if not bar.io))}")
    if good:
        yield passed(", ".join(good))


def _bars_problem(function: PciFunction, detail: PciDetail) -> str:
    lost = [bar for bar in detail.bars if not bar.assigned and not bar.io]
    if lost:
        return ", ".join(f"BAR {bar.index} of {size(bar.size)} has none" for bar in lost)
    displays = function.vendor == NVIDIA and function.class_code.startswith("03") and not detail.physfn
    if displays and not any(bar.prefetchable and bar.size >= _APERTURE for bar in detail.bars):
        return "the window to its memory is gone: the kernel drops one that finds no room"
    return ""


@check(
    "gpu.reset_method",
    "Every GPU can be reset between tenants",
    reads=(PciFunctions, PciDetails),
    why="Without a reset the next tenant gets the card as the last one left it, its memory included: `vfio: Cannot reset device, "
    "no available reset mechanism`.",
    fix="Do not pass such a card to more than one tenant; leave it out with spec.gpu.exclude.",
    source="Linux Documentation/ABI/testing/sysfs-bus-pci: reset_method",
)
def reset_method(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`reset_method` of each selected function."""
    good = Counter(" ".join(detail.resets) for _, detail in _cards(facts, profile) if detail.resets)
    without = [f.address for f, detail in _cards(facts, profile) if not detail.resets and not is_switch(f)]
    for address in without:
        fix = Fix(f"one tenant only, or leave it out: {exclusion(profile, *without)}", FixKind.EDIT)
        yield warned("none", wanted="flr or bus", subject=address, fix=fix)
    if good:
        yield passed(", ".join(f"{methods} ({count})" for methods, count in good.items()))


@check(
    "gpu.link",
    "Every GPU has all its lanes",
    reads=(PciFunctions, PciDetails),
    why="A card with fewer lanes than it could have moves data at a fraction of its speed. The speed of a lane is no sign: idle "
    "cards lower it.",
    fix="Reseat the card and its riser; see whether the slot has as many lanes, and how the firmware bifurcates it.",
    source="Linux Documentation/ABI/testing/sysfs-bus-pci: current_link_width, max_link_width",
)
def link(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """current_link_width and max_link_width of each selected function and of the port above it."""
    good: dict[str, int] = {}
    for function, detail in _cards(facts, profile):
        found = detail.link
        if found is None or not found.width or not found.max_width:  # as hypervisors leave them out
            continue
        if found.width < found.max_width:
            yield _narrow(function, found, _port_width(facts, detail))
        else:
            said = f"x{found.width}, {speed(found.speed)} of {speed(found.max_speed)} GT/s"
            good[said] = good.get(said, 0) + 1
    if good:
        yield passed("; ".join(f"{said} ({count})" for said, count in good.items()))


def _narrow(function: PciFunction, found: PciLink, port: int) -> Finding:
    wanted, said = f"x{found.max_width}", f"x{found.width}"
    if port == found.width:
        fix = Fix(
            "move the card to a slot with more lanes, or mend the bifurcation of this one", FixKind.FIRMWARE, True
        )
        return warned(f"{said}; the port above it has no more", wanted=wanted, subject=function.address, fix=fix)
    fix = Fix("power off, reseat the card, its riser and its cables", FixKind.WAIT, needs_reboot=True)
    return warned(said, wanted=wanted, subject=function.address, fix=fix)


def _port_width(facts: Facts, detail: PciDetail) -> int:
    above = facts[PciDetails].of(detail.upstream[-1]).link if detail.upstream else None
    return above.max_width if above else 0


@check(
    "gpu.boot_vga",
    "The console is not on a GPU that is passed through",
    reads=(PciFunctions, PciDetails),
    why="The firmware shows its messages on it, and the kernel keeps a framebuffer there: `BAR 1: can't reserve [mem ...]` in the "
    "guest's start, and whoever sits at the console sees nothing more.",
    fix="Make the board's own display (BMC, processor) the primary one in the firmware, or leave this GPU to the host. A waiver "
    "does not bind it; its address in spec.gpu.select does.",
    source="Linux drivers/pci/vgaarb.c; drivers/firmware/sysfb.c",
    gates=("gpu",),
)
def boot_vga(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """boot_vga of each selected function of class 0300."""
    for function in selection(facts, profile):
        shows = facts[PciDetails].of(function.address).boot_vga and function.class_code.startswith("0300")
        if not shows:
            continue
        if is_console(facts, profile, function):
            fix = Fix(
                "make another display the primary one in the firmware, or leave this GPU to the host: "
                f"{exclusion(profile, function.address)}; where nobody needs the console, name its address: "
                f"{selecting(profile, GpuSelector(address=function.address))} (a waiver alone binds nothing)",
                FixKind.FIRMWARE,
            )
            yield failed(
                "it is the boot display", wanted="another display for the console", subject=function.address, fix=fix
            )
        else:
            yield warned("it is the boot display, and the profile names its address", wanted="no framebuffer on it",
                         subject=function.address, fix=_no_framebuffer(facts))  # fmt: skip


def _no_framebuffer(facts: Facts) -> Fix:
    config = facts.get(KernelConfig)
    efifb = bool(config and config.options.get("FB_EFI") == "y")
    argument = "video=efifb:off" if efifb else "initcall_blacklist=sysfb_init"
    return Fix(f"in the profile: add {argument} to spec.boot.kernelArgs", FixKind.EDIT, needs_reboot=True)


CHECKS = (fell_off, bars_assigned, reset_method, link, boot_vga)
