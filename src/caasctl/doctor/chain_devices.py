"""The links of a pod's start that are about devices: what the node gives, who offers it, CDI names, and the hardware behind."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.cdi import CdiSpecs, DevicePlugins
from caasctl.facts.containerd_config import ContainerdEffective
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.model import Facts
from caasctl.needs.live import Step
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.tables import cri
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.live.pods import Pod

_CDI, _VFIO = "cdi.k8s.io/", "vfio-pci"
_PLUGIN_LOG = "kubectl get pods -A -o wide | grep -i plugin; then kubectl logs of it"


def device_steps(facts: Facts, profile: NodeProfile, pod: Pod, node: Node | None) -> Iterator[Step]:
    """Nothing for a pod that asks for no device."""
    for resource, wanted in pod.limits().items():
        yield _allocatable(resource, wanted, node)
        yield from _plugin(facts, resource)
    names = [
        name
        for key, value in pod.annotations.items()
        if key.startswith(_CDI)
        for name in value.split(",")
        if "=" in name
    ]
    for name in names:
        yield from _cdi(facts, name.strip())
    if "kata" in pod.runtime_class and (names or pod.limits()):
        yield from _hardware(facts, profile)


def _allocatable(resource: str, wanted: str, node: Node | None) -> Step:
    if node is None:
        return Step("device", f"{resource}: the node is not known", unknown=True)
    have = node.allocatable.get(resource)
    if have is None:
        others = ", ".join(name for name in node.allocatable if "/" in name and not name.startswith("hugepages"))
        return Step("device", f"{node.name} has no {resource}" + (f", only {others}" if others else ""), broken=True,
                    cause="No device plugin of this node has ever offered it, or the limit names it wrongly.", fix=_PLUGIN_LOG)  # fmt: skip
    if not have.isdigit() or not wanted.isdigit():
        return Step("device", f"{resource}: {have} allocatable, {wanted} asked for", unknown=True)
    if int(have) < int(wanted):
        cause = "Its device plugin offers none now: it does not run, or finds no device on vfio-pci." if have == "0" else \
            "It asks for more than the node has."  # fmt: skip
        return Step(
            "device", f"{resource}: {have} allocatable, {wanted} asked for", broken=True, cause=cause, fix=_PLUGIN_LOG
        )
    return Step("device", f"{resource}: {have} allocatable, {wanted} asked for")


def _plugin(facts: Facts, resource: str) -> Iterator[Step]:
    """By the kubelet's own record of plugins."""
    plugins = facts.get(DevicePlugins)
    if plugins is None or not plugins.recorded:
        yield Step("device plugin", f"{resource}: the kubelet's record could not be read", unknown=True)
    elif not plugins.registered.get(resource):
        said = "has no healthy device" if resource in plugins.registered else "is not registered with the kubelet"
        yield Step("device plugin", f"{resource} {said}", broken=True, fix=_PLUGIN_LOG,
                   cause="The plugin does not run, or does not find the devices where it looks: those bound to vfio-pci when it started.")  # fmt: skip
    else:
        yield Step("device plugin", f"{resource}: {len(plugins.registered[resource])} healthy")


def _cdi(facts: Facts, name: str) -> Iterator[Step]:
    specs, effective = facts.get(CdiSpecs), facts.get(ContainerdEffective)
    if effective and not effective.error and cri(effective.data).cdi is False:
        yield Step("CDI name", f"{name}: enable_cdi = false in containerd's configuration", broken=True,
                   cause="containerd passes over annotations of CDI.", fix="caasctl init-node --phase containerd")  # fmt: skip
        return
    if specs is None:
        yield Step("CDI name", name, unknown=True)
        return
    there = {known: source.path for source in specs.sources for known in (source.spec.names if source.spec else ())}
    if name in there:
        yield Step("CDI name", f"{name}, of {there[name]}")
    else:
        have = ", ".join(list(there)[:6]) or "none"
        yield Step("CDI name", f"{name} is in no CDI specification, only {have}", broken=True, fix="caasctl init-node --phase gpu",
                   cause="The sandbox is not created: `unresolvable CDI devices`. Devices are named by IOMMU group here, which may change with the hardware.")  # fmt: skip


def _hardware(facts: Facts, profile: NodeProfile) -> Iterator[Step]:
    functions = facts.get(PciFunctions)
    chosen = functions.selected(profile.spec.gpu) if functions else ()
    if not chosen:
        yield Step("vfio-pci", "no GPU of this profile is seen", unknown=True)
        return
    alone = [one for one in chosen if not one.iommu_group]
    bound = [one for one in chosen if one.driver == _VFIO]
    if alone:
        yield Step("IOMMU group", f"{_addresses(alone)}: in none", broken=True, fix="caasctl preflight --check iommu.enabled",
                   cause="The IOMMU is off, in the firmware or on the kernel's command line.")  # fmt: skip
        return
    yield Step("IOMMU group", ", ".join(dict.fromkeys(one.iommu_group for one in chosen)))
    if not bound:
        drivers = ", ".join(dict.fromkeys(one.driver or "no driver" for one in chosen))
        yield Step("vfio-pci", f"{_addresses(list(chosen))}: {drivers}", broken=True, fix="caasctl init-node --phase gpu",
                   cause="Another driver has the GPUs: nothing can be handed to a guest.")  # fmt: skip
    else:
        yield Step("vfio-pci", f"{len(bound)} of {len(chosen)}")


def _addresses(among: list[PciFunction]) -> str:
    return ", ".join(one.address for one in among[:4])
