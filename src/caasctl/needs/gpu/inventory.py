"""The GPUs of a host as `caasctl gpu` shows them: whether each can go to a guest, with what, under which names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetail, PciDetails, PciLink
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_vfio import VFIO, VfioNodes
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.frozen import dataclass
from caasctl.model import Facts
from caasctl.needs.gpu import NVIDIA, NVSWITCH, VFIO_PCI, GpuGroup, groups, is_gpu, is_switch, selection
from caasctl.profile import GpuSelector, NodeProfile
from caasctl.syntax.pci import full

ALONE, TOGETHER, NOT = "alone", "together", "no"
_VFIO_DEVICE = "vfio"
READS = frozenset({PciFunctions, PciDetails, PciUse, VfioNodes, Links, Routes})
Names = Mapping[tuple[str, str], str]  # (vendor, device) -> what pci.ids calls them


@dataclass(frozen=True)
class Gpu:
    """One selected function. usable: alone, together (beside: what goes along, of other cards), or no (why: the reasons).

    bar_bytes: of all its windows. link: None where it is asleep, or has none. functions: all of its group that go along.
    complete: sysfs told all, so that what is not here is not there. root_port: the first bridge above it, "" on a root bus. node: the guest's door to it. device: its CDI name. resource:
    what pods ask for.
    """

    address: str
    vendor: str
    device_id: str
    class_code: str
    model: str = ""
    group: str = ""
    driver: str = ""
    numa_node: int = -1
    bar_bytes: int = 0
    link: PciLink | None = None
    power_state: str = ""
    complete: bool = False
    root_port: str = ""
    ports: tuple[str, ...] = ()
    usable: str = NOT
    beside: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    functions: tuple[PciFunction, ...] = ()
    node: str = ""
    node_exists: bool = False
    device: str = ""
    resource: str = ""

    @property
    def switch(self) -> bool:
        """An NVSwitch, as is_switch has it."""
        return self.vendor == NVIDIA and self.class_code.startswith("0680")

    @property
    def bound(self) -> bool:
        """vfio-pci drives all of its group."""
        return bool(self.functions) and all(function.driver == VFIO_PCI for function in self.functions)


def shown(profile: NodeProfile) -> NodeProfile:
    """The profile to list by: what is there is worth seeing where nothing is to be passed through as well."""
    if profile.spec.gpu.passthrough != "off":
        return profile
    return replace(profile, spec=replace(profile.spec, gpu=replace(profile.spec.gpu, passthrough="auto")))


def inventory(facts: Facts, profile: NodeProfile, names: Names) -> tuple[Gpu, ...]:
    """Every function that the profile selects, by address. Raises FactUnread."""
    listed = shown(profile)
    by_number = {group.number: group for group in groups(facts, listed)}
    return tuple(_gpu(facts, profile, f, by_number.get(f.iommu_group), names) for f in selection(facts, listed))


def identities(facts: Facts, profile: NodeProfile) -> frozenset[tuple[str, str]]:
    """What pci.ids is to be asked for: the selected functions and those that go along."""
    listed = shown(profile)
    members = [member for group in groups(facts, listed) for member in group.members]
    return frozenset((f.vendor, f.device) for f in (*selection(facts, listed), *members))


def _gpu(facts: Facts, profile: NodeProfile, function: PciFunction, group: GpuGroup | None, names: Names) -> Gpu:
    detail = facts[PciDetails].of(function.address)
    bare = Gpu(
        function.address, function.vendor, function.device, function.class_code,
        model=names.get((function.vendor, function.device), ""),
        group=function.iommu_group,
        driver=function.driver,
        numa_node=function.numa_node,
        bar_bytes=sum(bar.size for bar in detail.bars if not bar.io),
        link=detail.link,
        power_state=detail.power_state,
        complete=detail.complete,
        root_port=detail.upstream[0] if detail.upstream else "",
        ports=detail.upstream,
    )  # fmt: skip
    if group is None:
        return replace(bare, why=("in no IOMMU group: the IOMMU is off, or does not cover its bus",))
    node, exists, name = _door(facts, group, detail)
    beside = group.others(function.address)
    usable = NOT if group.refused else TOGETHER if beside else ALONE
    kind = NVSWITCH if is_switch(function) else profile.spec.gpu.resourceName
    return replace(bare, usable=usable, beside=beside, why=group.refused, functions=group.members, node=node,
                   node_exists=exists, device=name, resource="" if group.refused else kind)  # fmt: skip


def _door(facts: Facts, group: GpuGroup, detail: PciDetail) -> tuple[str, bool, str]:
    """(node, whether it is there, CDI name): a kernel with /dev/iommu has a node for each function, others one for the group."""
    nodes = facts.get(VfioNodes) or VfioNodes()
    if nodes.iommufd and detail.vfio_device:
        node = f"{VFIO}/devices/{detail.vfio_device}"
        return node, detail.vfio_device in nodes.devices, detail.vfio_device.removeprefix(_VFIO_DEVICE)
    return f"{VFIO}/{group.number}", group.number in nodes.groups, group.number


def by_place(gpus: tuple[Gpu, ...]) -> Iterator[tuple[int, str, tuple[Gpu, ...]]]:
    """(NUMA node, root port, GPUs below it), in order."""
    places: defaultdict[tuple[int, str], list[Gpu]] = defaultdict(list)
    for gpu in gpus:
        places[gpu.numa_node, gpu.root_port].append(gpu)
    for (node, port), found in sorted(places.items()):
        yield node, port, tuple(found)


def notes(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """What is to be said beside the list: why it is empty, or that none of it goes to guests as things are."""
    chosen, spared = selection(facts, shown(profile)), _excluded(facts, profile)
    if not chosen:
        return (*_nothing(facts, profile), *spared)
    if profile.spec.gpu.passthrough == "off":
        off = "Passthrough is off in this profile (spec.gpu.passthrough)"
        why = off if profile.kata_handlers else "No runtime of this profile starts guests (spec.runtimes)"
        return (f"{why}: the list shows what could go to guests.", *spared)
    nodes = facts.get(VfioNodes)
    held = tuple(f"{h.node} is held by {h.command} (process {h.pid})." for h in nodes.holders) if nodes else ()
    return (*held, *spared, *_switches(facts, chosen))


def _excluded(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """What spec.gpu.select means and spec.gpu.exclude keeps: a list without it would look like a card that is lost."""
    gpu = shown(profile).spec.gpu
    every = facts[PciFunctions]
    left = set(every.selected(replace(gpu, exclude=()))) - set(every.selected(gpu))
    said = ", ".join(sorted(function.address for function in left))
    return (f"Excluded by the profile (spec.gpu.exclude), though spec.gpu.select means it: {said}.",) if said else ()


def _switches(facts: Facts, chosen: tuple[PciFunction, ...]) -> tuple[str, ...]:
    left = [f.address for f in facts[PciFunctions].functions if is_switch(f) and f not in chosen]
    said = f"{len(left)} NVSwitches stay with the host ({', '.join(left[:4])}{', ...' if left[4:] else ''})"
    return (f"{said}: `caasctl preflight --check gpu.nvswitch` says what that means for guests.",) if left else ()


def _nothing(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    functions = facts[PciFunctions].functions
    if not functions:
        return ("This host shows no PCI functions: /sys/bus/pci/devices is empty or not there.",)
    said = " or ".join(_meaning(selector) for selector in profile.spec.gpu.select)
    first = f"No GPU to pass through: none of {len(functions)} PCI functions is what spec.gpu.select means ({said})."
    if _excluded(facts, profile):
        first = f"No GPU to pass through: all that spec.gpu.select means ({said}) is excluded."
    gpus = [f for f in functions if is_gpu(f) and not facts[PciDetails].of(f.address).boot_vga]
    without = {full(address) for address in profile.spec.gpu.exclude}
    others = [f for f in gpus if f.address not in without]
    if not others:
        return (first,)
    named = ", ".join(f"{f.address} ({f.vendor}:{f.device})" for f in others[:4])
    select = f'--set \'gpu.select=[{{"address": "{others[0].address}"}}]\''
    return first, f"Displays and accelerators beside the console's: {named}. To select one: {select}"


def _meaning(selector: GpuSelector) -> str:
    named = (("vendor", selector.vendor), ("device", selector.device), ("class", selector.class_),
             ("address", selector.address))  # fmt: skip
    return ", ".join(f"{name} {value}" for name, value in named if value) or "everything"
