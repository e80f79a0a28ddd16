"""Phase gpu: what guests get is on vfio-pci from the first second of every boot, and named by CDI files."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.facts.boot import CommandLine
from caasctl.facts.boot_initramfs import Initramfs
from caasctl.facts.cdi import CdiSpecs, VfioCharacterDevices
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.gpu_vfio import VfioNodes
from caasctl.facts.kata_host import Kvm
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.facts.os import Modules
from caasctl.facts.os_swap import Swap
from caasctl.facts.ownership import GPU_DRACUT, GPU_HOOK, GPU_MODPROBE, GPU_MODULES, GPU_RULES, GPU_SCRIPT, GPU_UNIT
from caasctl.frozen import dataclass
from caasctl.model import HEADER, Facts
from caasctl.needs.gpu import NVSWITCH, GpuGroup, groups, is_switch, presumed
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.gpu import Binding
from caasctl.resources.gpu.initramfs import InitramfsActivation
from caasctl.resources.gpu.release import SpecificationsGone
from caasctl.resources.gpu.specification import Specification
from caasctl.resources.gpu.unit import UnitActivation
from caasctl.resources.kernel import KernelModule
from caasctl.resources.unit_file import UnitGone
from caasctl.resources.units import OwnUnit
from caasctl.syntax import vfio
from caasctl.syntax.cdi import passthrough

UNIT = GPU_UNIT.rpartition("/")[2]
MODULES = ("vfio_pci", "vfio_iommu_type1")
_INITRAMFS = {"initramfs-tools": GPU_HOOK, "dracut": GPU_DRACUT}


@dataclass(frozen=True)
class Row:
    """A function in gpu.sh's table; kind: of the CDI device that it is, "" where it only goes along with its group."""

    address: str
    vendor: str
    device: str
    kind: str


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """Files first: what is bound now stays so after a power cut at any moment. What is in no group is looked at before
    them, and stops the phase: written down, it would be lost to the host with the next boot, and no guest's.
    """
    found = tuple(group for group in (*groups(facts, profile), *presumed(facts, profile)) if not group.refused)
    generator = facts[Initramfs].generator
    if not found:
        yield from _without(generator)
        return
    rows = tuple(_row(function, group, profile) for group in found for function in group.members)
    kinds = tuple(dict.fromkeys(row.kind for row in rows if row.kind))
    yield from (_binding(group) for group in found if not group.number)
    yield File(GPU_MODULES, formats.render("modules-load.conf.j2", header=HEADER, modules=MODULES))
    yield from (KernelModule(module) for module in MODULES)
    script = formats.render("gpu.sh.j2", header=HEADER, functions=rows, kinds=tuple(map(_named, kinds)))
    yield File(GPU_SCRIPT, script, 0o755)
    unit = formats.render("gpu.service.j2", header=HEADER, script=GPU_SCRIPT)
    yield Transaction(f"file:{GPU_UNIT}", (File(GPU_UNIT, unit),), UnitActivation(UNIT, GPU_UNIT))
    yield _early(_early_files(rows, _drivers(facts, found), generator), generator)
    yield from (_binding(group) for group in found if group.number)
    yield OwnUnit(UNIT, enabled=True, active=True)
    for kind in kinds:
        asked = tuple(row.address for row in rows if row.kind == kind)
        yield Specification(kind, passthrough.path(kind), asked, UNIT)


def _binding(group: GpuGroup) -> Binding:
    return Binding(group.number, tuple(each.address for each in group.members), GPU_SCRIPT)


def _named(kind: str) -> tuple[str, str, str]:
    """The kind, the file of its specification, and the version that is the oldest to allow its name. Raises CaasError."""
    any_device = passthrough.specification(kind, (passthrough.group("0"),))
    return kind, passthrough.path(kind), any_device["cdiVersion"]


def _row(function: PciFunction, group: GpuGroup, profile: NodeProfile) -> Row:
    own = NVSWITCH if is_switch(function) else profile.spec.gpu.resourceName
    return Row(function.address, function.vendor, function.device, own if function in group.selected else "")


def _drivers(facts: Facts, found: tuple[GpuGroup, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(those to load after vfio-pci, those that no function of this host is left for)."""
    ours = {function.address for group in found for function in group.members}
    every = facts[PciFunctions].functions
    taken = vfio.competing((each.vendor, each.class_code) for each in every if each.address in ours)
    left = vfio.competing((each.vendor, each.class_code) for each in every if each.address not in ours)
    unused = tuple(driver for driver in vfio.of_gpus(taken) if driver not in left)
    return tuple(driver for driver in taken if driver not in unused), unused


def _early_files(
    rows: tuple[Row, ...], drivers: tuple[tuple[str, ...], tuple[str, ...]], generator: str
) -> Iterator[File]:
    shared, unused = drivers
    rules = formats.render("gpu-udev.rules.j2", header=HEADER, functions=rows, unit=UNIT, unit_file=GPU_UNIT)
    yield File(GPU_RULES, rules)
    yield File(GPU_MODPROBE, formats.render("gpu-modprobe.conf.j2", header=HEADER, drivers=shared, blacklist=unused))
    if generator == "initramfs-tools":
        yield File(GPU_HOOK, formats.render("gpu-initramfs-hook.sh.j2", header=HEADER, rules=GPU_RULES), 0o755)
    elif generator == "dracut":
        yield File(GPU_DRACUT, formats.render("gpu-dracut.conf.j2", header=HEADER, rules=GPU_RULES))


def _early(files: Iterator[File], generator: str, hooks: tuple[File, ...] = ()) -> Transaction:
    members = tuple(files)
    then = "udev reads them again; the initramfs of every kernel is made anew" if generator else "udev reads them again"
    return Transaction(
        "gpu-early", members, InitramfsActivation(generator, tuple(f.path for f in members), hooks), then=then
    )


def _without(generator: str) -> Iterator[Resource]:
    """What an earlier profile brought and this one has no use for; the functions stay on vfio-pci until the next boot."""
    yield UnitGone(UNIT)
    yield SpecificationsGone(passthrough.DYNAMIC)
    hooks = tuple(Gone(path) for path in _INITRAMFS.values())
    yield _early(iter([Gone(path) for path in (GPU_RULES, GPU_MODPROBE)]), generator, hooks)
    yield from (*hooks, *(Gone(path) for path in (GPU_MODULES, GPU_SCRIPT)))


PHASE = Phase(
    "gpu",
    "GPUs on vfio-pci for guests, and the CDI files that name them",
    desired,
    reads=(CommandLine, PciFunctions, PciDetails, PciUse, Links, Routes, Initramfs),
    disturbs=(
        PciFunctions,
        PciDetails,
        PciUse,
        VfioNodes,
        NvidiaLeftovers,
        Kvm,
        Swap,
        CdiSpecs,
        VfioCharacterDevices,
        Modules,
    ),
)
