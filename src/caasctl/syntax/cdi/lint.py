"""What several CDI specifications say together: names given twice, functions reached twice, nodes that lead elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import NamedTuple

from caasctl.frozen import dataclass
from caasctl.syntax.cdi.names import qualified
from caasctl.syntax.cdi.passthrough import VFIO
from caasctl.syntax.cdi.spec import Device, Spec

_CONTROL = f"{VFIO}/vfio"  # of all groups; no device
_CHARACTER = f"{VFIO}/devices/vfio"


class Source(NamedTuple):
    """A specification and the file that it was read from."""

    path: str
    spec: Spec

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Functions:
    """What VFIO's nodes lead to. groups: number -> PCI addresses. characters: N of vfioN -> PCI address."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    characters: Mapping[str, str] = field(default_factory=dict)

    def behind(self, node: str) -> tuple[str, ...]:
        """The PCI functions that a node on the host gives; () for one that is none of VFIO's, or leads nowhere."""
        if node.startswith(_CHARACTER):
            address = self.characters.get(node.removeprefix(_CHARACTER), "")
            return (address,) if address else ()
        return self.groups.get(node.removeprefix(f"{VFIO}/"), ()) if is_vfio(node) else ()


def is_vfio(node: str) -> bool:
    """Whether a node is a device of VFIO: a group or a character device."""
    return node.startswith(f"{VFIO}/") and node != _CONTROL


def vfio_nodes(spec: Spec, device: Device) -> tuple[str, ...]:
    """The nodes of VFIO's devices, on the host, that a container gets with a device."""
    return tuple(dict.fromkeys(node.on_host for node in spec.nodes_of(device) if is_vfio(node.on_host)))


def passes_through(spec: Spec) -> bool:
    """Whether a specification is of functions on vfio-pci."""
    return any(vfio_nodes(spec, device) for device in spec.devices)


def writers(sources: Iterable[Source]) -> dict[str, tuple[Source, ...]]:
    """Kind of functions on vfio-pci -> the files that name it: more than one is one too many."""
    found: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if passes_through(source.spec):
            found[source.spec.kind].append(source)
    return {kind: tuple(files) for kind, files in found.items()}


def named_in(sources: Iterable[Source]) -> dict[str, tuple[Source, ...]]:
    """Qualified name -> the files that have it. In one directory nobody gets it; of two, the later directory's counts."""
    found: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        for name in source.spec.names:
            found[name].append(source)
    return {name: tuple(files) for name, files in found.items()}


class Way(NamedTuple):
    """How a function is reached: by a qualified name, through a node."""

    name: str
    node: str


def ways(sources: Iterable[Source], functions: Functions) -> dict[str, tuple[Way, ...]]:
    """PCI address -> every way to it. One name may give several functions; a function of several names is given away twice."""
    found: dict[str, dict[Way, None]] = defaultdict(dict)
    for _, spec in sources:
        for device in spec.devices:
            for node in vfio_nodes(spec, device):
                for address in functions.behind(node):
                    found[address][Way(qualified(spec.kind, device.name), node)] = None
    return {address: tuple(each) for address, each in found.items()}
