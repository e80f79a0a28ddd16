"""Which functions are to be passed through, what goes with them, and what the host cannot spare: one answer for all who ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.frozen import dataclass
from caasctl.model import Facts
from caasctl.profile import GpuSelector, NodeProfile
from caasctl.syntax.pci import full, slot

VFIO_PCI = "vfio-pci"
NVIDIA = "10de"
NVSWITCH = "nvidia.com/nvswitch"  # the resource that NVIDIA's sandbox device plugin gives switches
_GPUS, _VGA = ("03", "12"), "0300"  # displays; processing accelerators, as AMD's are
_MEDIA, _SOUND, _USB, _UCSI = "04", "0403", "0c03", "0c80"
_SYSTEM = ("05", "08", "11")  # memory and interrupt controllers, counters: dozens in a server's processor
# What a function of this class is to a host, for those that are never taken along: longest prefix first.
_HOSTS_OWN = {
    "01": "a storage controller",
    "0207": "an InfiniBand adapter",
    "02": "a network card",
    "03": "a display that the profile does not select",
    "12": "an accelerator that the profile does not select",
    "04": "a sound or video device of the host",
    "06": "a part of the chipset",
    "07": "a serial port or modem",
    "0c03": "a USB controller, perhaps the keyboard's",
    "0c": "a bus controller of the host",
    "0d": "a wireless card",
}


@dataclass(frozen=True)
class GpuGroup:
    """An IOMMU group that holds a selected function. members: all but bridges, selected or not, by address.

    refused: why it stays as it is, a clause for each obstacle; () where every member can go to vfio-pci.
    """

    number: str
    members: tuple[PciFunction, ...]
    selected: tuple[PciFunction, ...]
    refused: tuple[str, ...] = ()
    bridges: tuple[PciFunction, ...] = ()

    @property
    def bound(self) -> bool:
        return all(member.driver == VFIO_PCI for member in self.members)

    @property
    def cards(self) -> tuple[str, ...]:
        """Slots of the selected functions, as 0000:65:00: those of one group go to a guest together."""
        return tuple(dict.fromkeys(slot(function.address) for function in self.selected))

    def others(self, address: str) -> tuple[str, ...]:
        """Selected functions of other cards, without which this one goes to no guest."""
        return tuple(f.address for f in self.selected if slot(f.address) != slot(address))


def selection(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    """All functions to pass through, by address, whether their group allows it or not."""
    return facts.once(_selection, profile)


def groups(facts: Facts, profile: NodeProfile) -> tuple[GpuGroup, ...]:
    """The groups of the selection, in the order of their first address. Selected functions in no group are not here."""
    return facts.once(_groups, profile)


def presumed(facts: Facts, profile: NodeProfile) -> tuple[GpuGroup, ...]:
    """Before the IOMMU is on: a group for each card of the selection that is in none, judged as the others are."""
    return facts.once(_presumed, profile)


def exclusion(profile: NodeProfile, *addresses: str) -> str:
    """The argument that leaves functions to the host beside those that the profile leaves: it replaces the whole list."""
    every = dict.fromkeys(full(address) for address in (*profile.spec.gpu.exclude, *addresses))
    said = ", ".join(f'"{address}"' for address in every)
    return f"--set 'gpu.exclude=[{said}]'"


def selecting(profile: NodeProfile, *selectors: GpuSelector) -> str:
    """The argument that selects more than the profile does: it replaces the whole list."""
    said = ", ".join(_said(selector) for selector in (*profile.spec.gpu.select, *selectors))
    return f"--set 'gpu.select=[{said}]'"


def to_bind(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    """Every function that belongs to vfio-pci: all members of the groups that are not refused."""
    return tuple(member for group in groups(facts, profile) if not group.refused for member in group.members)


def _selection(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    spec = profile.spec.gpu
    functions, details = facts[PciFunctions], facts[PciDetails]
    asked = [function for function in functions.selected(spec) if not function.bridge]  # no bridge goes to a guest
    addresses = {function.address for function in asked}
    named = _named(spec.select)
    chosen = [f for f in asked if _stays(details.of(f.address).physfn, f.address, addresses, named)]
    return tuple(sorted(chosen, key=lambda function: function.address))


def _said(selector: GpuSelector) -> str:
    named = (("vendor", selector.vendor), ("device", selector.device), ("class", selector.class_),
             ("address", selector.address))  # fmt: skip
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in named if value) + "}"


def is_switch(function: PciFunction) -> bool:
    """An NVSwitch: a guest's only where the profile selects switches."""
    return function.nvswitch


def is_gpu(function: PciFunction) -> bool:
    """A display or an accelerator."""
    return function.class_code.startswith(_GPUS)


def _named(select: Iterable[GpuSelector]) -> frozenset[str]:
    return frozenset(full(selector.address) for selector in select if selector.address)


def _stays(physfn: str, address: str, addresses: set[str], named: frozenset[str]) -> bool:
    """A virtual function counts only where it is named, and its physical function, which takes it away, is not selected."""
    return not physfn or (address in named and physfn not in addresses)


def _groups(facts: Facts, profile: NodeProfile) -> tuple[GpuGroup, ...]:
    chosen = selection(facts, profile)
    addresses = frozenset(function.address for function in chosen)
    details = facts[PciDetails]
    by_group: defaultdict[str, list[PciFunction]] = defaultdict(list)
    wanted = dict.fromkeys(function.iommu_group for function in chosen if function.iommu_group)
    for function in facts[PciFunctions].functions:
        # A virtual function goes before its physical function is bound.
        if function.iommu_group in wanted and details.of(function.address).physfn not in addresses:
            by_group[function.iommu_group].append(function)
    return tuple(_group(facts, profile, number, by_group[number], addresses) for number in wanted)


def _presumed(facts: Facts, profile: NodeProfile) -> tuple[GpuGroup, ...]:
    """A card of its own is what most groups will be."""
    alone = tuple(function for function in selection(facts, profile) if not function.iommu_group)
    addresses = frozenset(function.address for function in alone)
    cards = dict.fromkeys(slot(function.address) for function in alone)
    details = facts[PciDetails]
    by_card: defaultdict[str, list[PciFunction]] = defaultdict(list)
    for function in facts[PciFunctions].functions:
        if slot(function.address) in cards and details.of(function.address).physfn not in addresses:
            by_card[slot(function.address)].append(function)
    return tuple(_group(facts, profile, "", by_card[card], addresses) for card in cards)


def _group(
    facts: Facts, profile: NodeProfile, number: str, functions: list[PciFunction], chosen: frozenset[str]
) -> GpuGroup:
    members = tuple(function for function in functions if not function.bridge)
    selected = tuple(function for function in members if function.address in chosen)
    slots = {slot(function.address): function for function in reversed(selected)}
    cards = {slot(function.address): function for function in reversed(selected) if is_gpu(function)}
    refused = []
    for member in members:
        why = _unfit(facts, profile, member) or _in_use(facts, profile, member)
        place = slot(member.address)
        why = why or (
            _unnamed(profile, member, cards.get(place)) if member in selected else _foreign(member, slots.get(place))
        )
        if why:
            refused.append(f"{member.address} {why}")
    bridges = tuple(function for function in functions if function.bridge)
    return GpuGroup(number, members, selected, tuple(refused), bridges)


def _unfit(facts: Facts, profile: NodeProfile, function: PciFunction) -> str:
    if is_lost(facts, function):
        return "does not answer: it fell off the bus"
    if function.address in {full(address) for address in profile.spec.gpu.exclude}:
        return "is excluded by the profile (spec.gpu.exclude)"
    return ""


def is_lost(facts: Facts, function: PciFunction) -> bool:
    """Whether the function answers nothing but ones."""
    link = facts[PciDetails].of(function.address).link
    return function.vendor == "ffff" or (link is not None and link.dead)


def _in_use(facts: Facts, profile: NodeProfile, function: PciFunction) -> str:
    """What the host does with a function now: never what phase gpu changes, since it takes none that is in use."""
    mounted = facts[PciUse].disks.get(function.address, ())
    if mounted:
        return f"has disks that hold {', '.join(mounted)}"
    carried = tuple(_carried(facts, facts[PciUse].interfaces.get(function.address, ())))
    if carried:
        return f"carries {', '.join(carried)}"
    if is_console(facts, profile, function):
        return "is the display that the console is on (boot_vga)"
    return ""


def is_console(facts: Facts, profile: NodeProfile, function: PciFunction) -> bool:
    """The firmware's display, which is the console's too; a profile that names its address knows of another console."""
    shows = function.class_code.startswith(_VGA) and facts[PciDetails].of(function.address).boot_vga
    return shows and function.address not in _named(profile.spec.gpu.select)


def _carried(facts: Facts, names: tuple[str, ...]) -> Iterator[str]:
    """Addresses and default routes on the interfaces; where they are not known, every interface."""
    links, routes = facts.get(Links), facts.get(Routes)
    if links is None or routes is None:
        yield from names
        return
    defaults = {route.dev for route in routes.routes if route.default}
    for name in names:
        link = links.named(name)
        ips = [address.ip for address in link.addresses if address.scope in ("global", "site")] if link else []
        if ips:
            yield f"{ips[0]} ({name})"
        elif name in defaults:
            yield f"the default route ({name})"


def _foreign(function: PciFunction, card: PciFunction | None) -> str:
    """Why a function that the profile does not select cannot go along; card: a selected one in the same slot."""
    if is_switch(function):
        return "is an NVSwitch, which goes to a guest only where spec.gpu.select names switches"
    if card and _belongs(function, card):
        return ""
    own = _hosts_own(function)
    if own:
        return f"is {own}"
    # Memory controllers, system peripherals and the like, as PCIe switches bring them: nobody's as long as none drives them.
    return f"is driven by {function.driver}" if function.driver not in ("", VFIO_PCI) else ""


def _unnamed(profile: NodeProfile, function: PciFunction, card: PciFunction | None) -> str:
    """Why a function that a selector meets stays all the same: a wide one meets half of the host. card: a GPU in its slot."""
    spared = is_gpu(function) or is_switch(function) or (card and _belongs(function, card))
    own = "" if spared or function.class_code.startswith(_MEDIA) else _hosts_own(function)
    own = own or ("a part of the chipset" if function.class_code.startswith(_SYSTEM) else "")
    if not own or function.address in _named(profile.spec.gpu.select):
        return ""
    return f"is {own}, which goes to a guest only where spec.gpu.select names its address"


def _hosts_own(function: PciFunction) -> str:
    code = function.class_code
    return next((_HOSTS_OWN[code[:length]] for length in (4, 2) if code[:length] in _HOSTS_OWN), "")


def _belongs(function: PciFunction, card: PciFunction) -> bool:
    """A further function of a GPU's card: sound for its monitors, USB and UCSI of its plug."""
    if function.class_code.startswith(_SOUND):
        return True
    return function.class_code.startswith((_USB, _UCSI)) and function.vendor == card.vendor
