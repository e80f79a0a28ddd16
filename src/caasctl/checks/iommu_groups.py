"""IOMMU groups: what goes to a guest with a GPU, whether the host can spare it, and whether groups really keep apart."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import CommandLine
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Cpu
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.gpu import GpuGroup, exclusion, groups, is_console, is_lost, is_switch, selection
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline

# Source validation, request and completion redirect, upstream forwarding: what the kernel asks of a port before it
# keeps what is behind it in a group of its own (drivers/iommu/iommu.c, REQ_ACS_FLAGS).
_ISOLATES = 0x1D
_BITS = {0x01: "SrcValid", 0x04: "ReqRedir", 0x08: "CmpltRedir", 0x10: "UpstreamFwd"}
_WEAKENING = ("disable_acs_redir=", "config_acs=")


@check(
    "iommu.group_viable",
    "The host can spare all that shares an IOMMU group with a GPU",
    reads=(PciFunctions, PciDetails, PciUse),
    why="Kata opens every function of the group but bridges. One that another driver holds makes VFIO refuse the whole group "
    '("group is not viable"), and one that the host needs would be torn from it.',
    fix="Move the card to another slot, switch on ACS in the firmware, or leave the GPU to the host with spec.gpu.exclude.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def group_viable(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """iommu_group of all functions in /sys/bus/pci/devices, their classes, mounted disks, interfaces with addresses."""
    found = groups(facts, profile)
    refused = [group for group in found if group.refused and not _said_elsewhere(facts, profile, group)]
    without = exclusion(profile, *(function.address for group in refused for function in group.selected))
    for group in refused:
        mine = tuple(function.address for function in group.selected)
        fix = Fix(f"move the card to another slot, or leave it to the host: {without}", FixKind.EDIT)
        yield failed("; ".join(group.refused), wanted=f"nothing beside {', '.join(mine)} that the host needs",
                     subject=f"group {group.number}", fix=fix,
                     evidence=tuple(Evidence(f.address, f"{f.vendor}:{f.device} class {f.class_code} {f.driver or 'no driver'}")
                                    for f in group.members))  # fmt: skip
    fit = [group for group in found if not group.refused]
    if fit and not refused:
        yield passed(f"{_counted(len(fit), 'group')} of {_counted(sum(len(g.members) for g in fit), 'function')}")


def _said_elsewhere(facts: Facts, profile: NodeProfile, group: GpuGroup) -> bool:
    """Whether gpu.fell_off or gpu.boot_vga says all that there is to say."""
    told = [m for m in group.members if is_lost(facts, m) or is_console(facts, profile, m)]
    return len(told) == len(group.refused)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


@check(
    "iommu.group_shared",
    "Each GPU has an IOMMU group of its own",
    reads=(PciFunctions, PciDetails, PciUse),
    why="What shares a group goes to one guest together: such GPUs count as one, and no two tenants can have them.",
    fix="Move a card to a slot below another root port, or switch on ACS in the firmware.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    after=("iommu.firmware", "iommu.enabled"),
)
def group_shared(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Selected functions of different cards in one iommu_group; NVSwitches are gpu.nvswitch's."""
    shared = 0
    found = groups(facts, profile)
    for group in found:
        gpus = tuple(f.address for f in group.selected if not is_switch(f))
        if gpus and len(group.cards) > 1:
            shared += 1
            beside = ", ".join(f.address for f in group.selected)
            fix = Fix("switch on ACS (Access Control Services) in the firmware, or move a card to another slot",
                      FixKind.FIRMWARE, needs_reboot=True)  # fmt: skip
            yield warned(
                f"{beside} are in one group", wanted="a group for each", subject=f"group {group.number}", fix=fix
            )
    if found and not shared:
        yield passed(", ".join(f"{group.cards[0]} in {group.number}" for group in found))


@check(
    "iommu.acs",
    "The ports above the GPUs keep them apart",
    reads=(PciFunctions, PciDetails),
    why="With ACS off, devices reach each other's memory past the IOMMU. The groups do not show it: the kernel makes them at "
    "boot and never looks again, while scripts that tune GPUs for NCCL clear ACS later.",
    fix="Remove what clears ACS (`setpci ... ECAP_ACS+0x6.w=0000`), and reboot: the kernel sets it anew.",
    source="Linux drivers/iommu/iommu.c and drivers/pci/pci.c; NCCL's troubleshooting guide on PCI Access Control Services",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def acs(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The ACS capability in `config` of each port above a selected function; pci= on /proc/cmdline."""
    details = facts[PciDetails]
    above = [b for function in selection(facts, profile) for b in details.of(function.address).upstream]
    ports = {bridge: details.ports.get(bridge) for bridge in sorted(set(above))}
    running = facts.get(CommandLine)
    weak = [t.text for t in (running.tokens if running else ()) if t.name == "pci" and _weakens(t.value or "")]
    off = {bridge: port.lacks(_ISOLATES) for bridge, port in ports.items() if port and port.lacks(_ISOLATES)}
    for bridge, bits in off.items():
        said = ", ".join(name for bit, name in _BITS.items() if bits & bit)
        fix = Fix("grep -rlE 'ECAP_ACS|setpci' /etc /usr/local /opt/*/bin   # remove what clears it", needs_reboot=True)
        if weak:
            fix = Fix(f"take {weak[0]} out of the boot loader's configuration", FixKind.EDIT, needs_reboot=True)
        yield failed(f"{said} off", wanted="on", subject=bridge, fix=fix,
                     evidence=(Evidence("/proc/cmdline", weak[0]),) if weak else ())  # fmt: skip
    unread = [bridge for bridge, port in ports.items() if port is None]
    if unread:
        yield unknown(f"only root may read the ACS control of {', '.join(unread[:4])}", fix=Fix("run as root"))
    elif ports and not off:
        named = [bridge for bridge, port in ports.items() if port and port.acs & _ISOLATES]
        yield passed(f"on: {', '.join(named)}" if named else "no port has ACS, and the kernel's groups allow for that")


def _weakens(value: str) -> bool:
    return any(item.startswith(_WEAKENING) for item in value.split(","))


@check(
    "iommu.passthrough_mode",
    "The IOMMU translates the host's own devices too",
    reads=(Iommu, PciFunctions, PciDetails),
    why="In pass-through mode (iommu=pt) the host's own devices reach all of its memory, and AMD hosts run no SEV-SNP guests: "
    '"SNP: IOMMU disabled or configured in passthrough mode, SNP cannot be supported". Guests\' devices do not need it.',
    fix="Take iommu=pt away; keep it, with spec.boot.passthroughMode, where host I/O matters more than hostile tenants do.",
    source="Linux Documentation/admin-guide/kernel-parameters.txt; drivers/iommu/amd/init.c",
    after=("iommu.firmware", "iommu.enabled"),
)
def passthrough_mode(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """iommu= and iommu.passthrough= on /proc/cmdline; the type of each group in /sys/kernel/iommu_groups."""
    iommu, running, cpu = facts[Iommu], facts.get(CommandLine), facts.get(Cpu)
    types = iommu.group_types or {}
    if not selection(facts, profile) or not types:
        return
    tokens = running.tokens if running else ()
    said = cmdline.in_force(tokens, "iommu", "pt") or cmdline.in_force(tokens, "iommu.passthrough", "1")
    identity = types.get("identity", 0)
    if identity <= sum(types.values()) // 2:
        yield passed(", ".join(f"{count} {kind}" for kind, count in sorted(types.items())))
        return
    found = f"pass-through: {identity} of {sum(types.values())} groups are identity"
    if profile.spec.boot.passthroughMode and not (cpu and "sev_snp" in cpu.flags):
        yield passed(f"{found}, as spec.boot.passthroughMode asks")
        return
    fix = Fix("append iommu.passthrough=0 to the kernel command line", FixKind.EDIT, needs_reboot=True)
    if said:
        fix = Fix(f"take {said.text} out of the boot loader's configuration", FixKind.EDIT, needs_reboot=True)
    if profile.spec.boot.passthroughMode:
        fix = Fix("set spec.boot.passthroughMode: false in the profile", FixKind.EDIT, needs_reboot=True)
    yield warned(found, wanted="translated (DMA-FQ or DMA)", fix=fix)


CHECKS = (group_viable, group_shared, acs, passthrough_mode)
