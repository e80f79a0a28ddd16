"""The way of each GPU from its slot to what a pod asks for, up to the first step that does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.diagnosis import Link
from caasctl.facts.cdi import CHECKPOINT, CdiSpecs, DevicePlugins
from caasctl.facts.gpu_vfio import VfioNodes
from caasctl.model import Facts
from caasctl.needs.gpu import VFIO_PCI
from caasctl.needs.gpu.inventory import Gpu, Names, inventory, notes
from caasctl.pictures import Card, Drawn
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi.names import qualified


def drawn(facts: Facts, profile: NodeProfile, names: Names) -> Drawn:
    """Raises FactUnread."""
    cards = tuple(_card(gpu, facts, profile) for gpu in inventory(facts, profile, names))
    return Drawn(notes(facts, profile), cards=cards)


def _card(gpu: Gpu, facts: Facts, profile: NodeProfile) -> Card:
    numa = f"NUMA node {gpu.numa_node}" if gpu.numa_node >= 0 else ""
    port = f"below root port {gpu.root_port}" if gpu.root_port else ""
    ids = f"{gpu.vendor}:{gpu.device_id}"
    name = f"{'NVSwitch ' if gpu.switch else ''}{gpu.model} ({ids})" if gpu.model else f"{ids}, class {gpu.class_code}"
    steps = _hardware(gpu) if profile.spec.gpu.passthrough == "off" else (*_hardware(gpu), *_software(gpu, facts))
    return Card(gpu.address, name, ", ".join(said for said in (numa, port) if said), tuple(_up_to_broken(steps)))


def _up_to_broken(steps: tuple[Link, ...]) -> Iterator[Link]:
    """What is behind the first broken step follows from it, as far as anybody can tell."""
    broken = False
    for step in steps:
        yield replace(step, broken=step.broken and not broken)
        broken = broken or step.broken


def _hardware(gpu: Gpu) -> tuple[Link, ...]:
    dead = gpu.link is not None and gpu.link.dead
    slot = Link("PCI function", f"{gpu.address}{', does not answer: it fell off the bus' if dead else ''}", broken=dead)
    return slot, _group(gpu)


def _group(gpu: Gpu) -> Link:
    if not gpu.group:
        return Link("IOMMU group", "; ".join(gpu.why), broken=True)
    others = [f for f in gpu.functions if f.address != gpu.address]
    shared = ", ".join(f"{f.address} ({f.vendor}:{f.device}, {f.driver or 'no driver'})" for f in others)
    beside = f"; to one guest only together with {', '.join(gpu.beside)}" if gpu.beside else ""
    refused = f"; not for guests: {'; '.join(gpu.why)}" if gpu.why else ""
    return Link("IOMMU group", f"{gpu.group}, {f'shared with {shared}' if shared else 'alone in it'}{beside}{refused}",
                broken=bool(gpu.why))  # fmt: skip


def _software(gpu: Gpu, facts: Facts) -> tuple[Link, ...]:
    return _driver(gpu), _node(gpu, facts), _cdi(gpu, facts), _resource(gpu, facts)


def _driver(gpu: Gpu) -> Link:
    if gpu.bound:
        return Link("driver", f"{VFIO_PCI}, of all functions in its group")
    drivers = [f"{f.address} {f.driver or 'has none'}" for f in gpu.functions if f.driver != VFIO_PCI]
    return Link("driver", f"{', '.join(drivers) or gpu.driver or 'none'}; wanted {VFIO_PCI}", broken=True)


def _node(gpu: Gpu, facts: Facts) -> Link:
    nodes = facts.get(VfioNodes)
    if nodes is None:
        return Link("VFIO device", _why(facts, VfioNodes), unknown=True)
    if not (nodes.groups or nodes.devices or nodes.container):  # as where /dev is a container's, or was not recorded
        return Link("VFIO device", f"{gpu.node or 'none'}: nothing of /dev/vfio was seen", unknown=True)
    there = "" if gpu.node_exists else " is not there" if gpu.node else "none"
    return Link("VFIO device", f"{gpu.node}{there}", broken=not gpu.node_exists)


def _cdi(gpu: Gpu, facts: Facts) -> Link:
    specs = facts.get(CdiSpecs)
    if specs is None:
        return Link("CDI name", _why(facts, CdiSpecs), unknown=True)
    wanted = qualified(gpu.resource, gpu.device) if gpu.resource else ""
    files = [source.path for source in specs.sources if wanted in source.spec.names]
    if not wanted:
        return Link("CDI name", "none", broken=True)
    return Link(
        "CDI name", f"{wanted} in {', '.join(files)}" if files else f"{wanted} is in no specification", broken=not files
    )


def _resource(gpu: Gpu, facts: Facts) -> Link:
    plugins = facts.get(DevicePlugins)
    if plugins is None:
        return Link("resource", _why(facts, DevicePlugins), unknown=True)
    if not plugins.recorded:
        return Link("resource", f"{gpu.resource or 'none'}: the kubelet has no record of device plugins", unknown=True)
    number = len(plugins.registered.get(gpu.resource, ()))
    return Link("resource", f"{gpu.resource or 'none'}: {number} healthy in {CHECKPOINT}", broken=not number)


def _why(facts: Facts, kind: type) -> str:
    return facts.unread().get(kind, "was not looked at")
