"""The IOMMU: announced by the firmware, driven by the kernel, with interrupts remapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from caasctl.facts.boot import BootLoader, CommandLine
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Cpu, Kernel, KernelConfig
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline

_MENUS = {
    "GenuineIntel": "set VT-d (Intel Virtualization Technology for Directed I/O) to Enabled",
    "AuthenticAMD": "set IOMMU (AMD-Vi) to Enabled, not Auto, and SVM; ACS where it is offered "
    "(on some boards below AER)",
    "": "switch on the IOMMU (Intel: VT-d; AMD: IOMMU or AMD-Vi, with SVM; Arm: SMMU)",
}
_VIRTUAL = "give this virtual machine an IOMMU (QEMU: -machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on), or pass GPUs through on its host"
_WITHOUT = "build the node without its GPU (--set 'gpu.passthrough=\"off\"'), or "
_ELSEWHERE = "append intel_iommu=on to the kernel command line (boot.loader_supported says how)"
_DRIVERS = {"DMAR": ("INTEL_IOMMU", "DMAR"), "IVRS": ("AMD_IOMMU", "AMD-Vi"), "IORT": ("ARM_SMMU_V3", "arm-smmu")}


def _gpus(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    functions = facts.get(PciFunctions)
    return functions.selected(profile.spec.gpu) if functions else ()


def _make(facts: Facts, profile: NodeProfile) -> Callable[..., Finding]:
    """FAIL where a device is to be passed through or the profile insists, else WARN."""
    return failed if profile.spec.boot.iommu == "required" or _gpus(facts, profile) else warned


@check(
    "iommu.firmware",
    "The firmware announces an IOMMU",
    reads=(Iommu,),
    why="Without its ACPI table the kernel sees no IOMMU, whatever its command line says; binding a GPU to vfio-pci ends in "
    '"vfio-pci: probe of ... failed with error -22".',
    fix="Switch it on in the firmware's setup (Intel: VT-d; AMD: IOMMU or AMD-Vi), save, power-cycle.",
    source="https://docs.kernel.org/arch/x86/iommu.html",
    gates=("gpu",),
)
def firmware(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/sys/firmware/acpi/tables: DMAR (Intel), IVRS (AMD), IORT (Arm)."""
    iommu, cpu = facts[Iommu], facts.get(Cpu)
    if profile.spec.boot.iommu == "off":
        return
    if iommu.tables or iommu.units:
        yield passed(" ".join(iommu.tables) or "no ACPI table, but the kernel drives " + " ".join(iommu.units))
        return
    virtual = cpu is not None and "hypervisor" in cpu.flags
    setup = Fix(_MENUS.get(cpu.vendor if cpu else "", _MENUS[""]), FixKind.FIRMWARE, needs_reboot=True)
    guest = Fix((_WITHOUT if _gpus(facts, profile) else "") + _VIRTUAL, FixKind.EDIT, needs_reboot=True)
    fix = guest if virtual else setup
    found = "no DMAR, IVRS or IORT table" + ("; this is a virtual machine" if virtual else "")
    yield _make(facts, profile)(found, wanted="one of DMAR, IVRS, IORT", fix=fix)


@check(
    "iommu.enabled",
    "The kernel drives the IOMMU and GPUs are behind it",
    reads=(Iommu,),
    why='VFIO takes no device without an IOMMU group. "DMAR: IOMMU enabled" in dmesg is no proof: it only echoes the argument.',
    fix="Phase boot adds intel_iommu=on on Intel; elsewhere take away what turns the IOMMU off, or boot a kernel with its driver.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    after=("iommu.firmware",),
    gates=("gpu",),
)
def enabled(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/sys/class/iommu, and the iommu_group of each GPU in /sys/bus/pci/devices."""
    iommu, gpus = facts[Iommu], _gpus(facts, profile)
    if profile.spec.boot.iommu == "off":
        yield from _left_alone(gpus)
        return
    if not (iommu.tables or iommu.units):
        return
    make = _make(facts, profile)
    if not iommu.units:
        cause, fix, fixed_by = _why_off(facts)
        loader = facts.get(BootLoader)
        if fixed_by and loader and not loader.configured_by_us(apply_bls=profile.spec.boot.applyBLS):
            fixed_by, fix = "", Fix(_ELSEWHERE, FixKind.EDIT, needs_reboot=True)
        yield make(f"off: /sys/class/iommu is empty, though the firmware has {' '.join(iommu.tables)}",
                   wanted="an entry in /sys/class/iommu", cause=cause, fix=fix, fixed_by=fixed_by)  # fmt: skip
        return
    for gpu in gpus:
        if not gpu.iommu_group:
            yield make(f"{gpu.vendor}:{gpu.device} is in no IOMMU group", wanted="an iommu_group", subject=gpu.address,
                       cause="the IOMMU that is on does not cover the bus of this device",
                       fix=Fix("switch VT-d or AMD-Vi on for every socket and PCIe root",
                               FixKind.FIRMWARE, True))  # fmt: skip
    groups = f"{iommu.groups} groups" + "".join(
        f", {n} {kind}" for kind, n in sorted((iommu.group_types or {}).items())
    )
    if all(gpu.iommu_group for gpu in gpus):
        evidence = tuple(Evidence(gpu.address, f"iommu_group {gpu.iommu_group}") for gpu in gpus)
        yield passed(f"{' '.join(iommu.units[:4])}; {groups}", evidence=evidence)


def _left_alone(gpus: tuple[PciFunction, ...]) -> Iterator[Finding]:
    """No phase turns the IOMMU on: GPUs go to guests only where somebody else has."""
    outside = [gpu.address for gpu in gpus if not gpu.iommu_group]
    if outside:
        yield failed(f"boot.iommu is off in the profile, and {', '.join(outside[:4])} {'is' if len(outside) == 1 else 'are'} in no "
                     "IOMMU group", wanted="an iommu_group for each selected GPU, or none selected", fixed_by="",
                     cause="nobody turns the IOMMU on, and what is taken from the host without it is no guest's either",
                     fix=Fix("--set 'boot.iommu=\"auto\"', or build the node without its GPU: --set 'gpu.passthrough=\"off\"'",
                             FixKind.EDIT))  # fmt: skip
    elif gpus:
        yield passed(", ".join(f"{gpu.address} in {gpu.iommu_group}" for gpu in gpus[:4]))


def _why_off(facts: Facts) -> tuple[str, Fix, str]:
    """(cause, fix, phase): in the order in which an engineer would rule them out."""
    running, config, table = facts.get(CommandLine), facts.get(KernelConfig), facts[Iommu].tables[0]
    tokens = running.tokens if running else ()
    option, word = _DRIVERS[table]
    for name, item in (("iommu", "off"), ("amd_iommu", "off")):
        if cmdline.in_force(tokens, name, item):
            return (f"{name}={item} is on /proc/cmdline and nothing overrides it",
                    Fix(f"take {name}={item} out of the boot loader's configuration", FixKind.EDIT, True), "")  # fmt: skip
    if config and config.options.get(option, "n") == "n":
        return (
            f"this kernel is built without CONFIG_{option}",
            Fix(_flavour(facts.get(Kernel), option), needs_reboot=True),
            "",
        )
    if table == "DMAR" and not cmdline.in_force(tokens, "intel_iommu", "on"):
        off = cmdline.in_force(tokens, "intel_iommu", "off")
        said = (
            "intel_iommu=off is on /proc/cmdline" if off else "this kernel leaves VT-d off unless told intel_iommu=on"
        )
        return said, Fix("caasctl init-node", needs_reboot=True), "boot"
    return ("the kernel has the driver and nothing turns it off, yet it did not come up",
            Fix(f"journalctl -k -b | grep -e {word} -e iommu"), "")  # fmt: skip


def _flavour(kernel: Kernel | None, option: str) -> str:
    release = kernel.release if kernel else ""
    if "-cloud-" in release:
        return f"apt-get install linux-image-{release.rpartition('-')[2]}, boot it, and remove the cloud kernel"
    return f"boot a kernel with CONFIG_{option}=y; {release or 'the running one'} has none"


@check(
    "iommu.interrupt_remapping",
    "Interrupts are remapped",
    reads=(Iommu,),
    why='VFIO refuses with "No interrupt remapping support. Use the module param allow_unsafe_interrupts"; that parameter lets '
    "a guest send interrupts to the host and to other tenants.",
    fix="Take intremap=off and noapic away, and switch on x2APIC and interrupt remapping in the firmware.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def interrupt_remapping(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Chip names in /proc/interrupts (IR-...), the flags of the DMAR table, intremap= on /proc/cmdline."""
    iommu, running = facts[Iommu], facts.get(CommandLine)
    unwanted = profile.spec.boot.iommu == "off" and not _gpus(facts, profile)
    if unwanted or not iommu.units or iommu.remapping is None:
        return
    if iommu.remapping:
        yield passed("on: interrupt chips are IR-...")
        return
    tokens = running.tokens if running else ()
    against = [t for t in tokens if t.name == "noapic" or (t.name == "intremap" and "off" in t.items)]
    if against:
        fix = Fix(f"take {against[0].text} out of the boot loader's configuration", FixKind.EDIT, needs_reboot=True)
        cause = f"{against[0].text} is on /proc/cmdline"
    elif iommu.firmware_remapping is False:
        fix = Fix("switch on interrupt remapping (beside VT-d)", FixKind.FIRMWARE, True)
        cause = "the DMAR table says that the platform does not remap interrupts"
    else:
        fix = Fix(
            "switch on x2APIC and its interrupt remapping (no x2APIC opt-out)",
            FixKind.FIRMWARE,
            True,
        )
        cause = ""
    yield _make(facts, profile)("off: no interrupt chip in /proc/interrupts is an IR- one", wanted="IR-... chips",
                                cause=cause, fix=fix)  # fmt: skip


CHECKS = (firmware, enabled, interrupt_remapping)
