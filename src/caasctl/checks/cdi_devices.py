"""CDI against the host: one writer for what is passed through, nodes that lead to GPUs, names that device plugins offer."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from caasctl.facts.cdi import CHECKPOINT, CdiFile, CdiSpecs, DevicePlugins, VfioCharacterDevices
from caasctl.facts.gpu import PciFunctions
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.gpu import VFIO_PCI
from caasctl.needs.gpu.cdi import behind_nodes, hands_out_gpus, selected
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi.lint import Functions, Source, vfio_nodes, ways, writers
from caasctl.syntax.cdi.names import qualified, split
from caasctl.syntax.cdi.passthrough import DYNAMIC

_SHOWN = 4
_INIT = Fix("caasctl init-node")


def _few(values: tuple[str, ...]) -> str:
    return ", ".join(values[:_SHOWN]) + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")


@check(
    "cdi.one_writer",
    "GPUs that are passed through have one CDI file",
    reads=(CdiSpecs,),
    why="Two files of one kind in one directory cancel each other: each name in both is a `conflicting device`, no pod gets a GPU, and "
    "Kata's Go runtime gives up on every file with them.",
    fix=f"Let one program write the kind: caasctl, with an emptyDir instead of {DYNAMIC} in the device plugin's pod.",
    source="container-device-interface: pkg/cdi/cache.go; NVIDIA/sandbox-device-plugin: pkg/device_plugin/cdi.go",
    gates=("gpu",),
)
def one_writer(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The files in /etc/cdi and /var/run/cdi whose devices are nodes of /dev/vfio, by kind; whose they are, by caasctl's header."""
    found = facts[CdiSpecs]
    kept = {file.path: file for file in found.files}
    wanted = profile.spec.gpu.resourceName if hands_out_gpus(facts, profile) else ""
    for kind, sources in writers(found.sources).items():
        files = tuple(kept[source.path] for source in sources)
        foreign = tuple(file for file in files if not file.ours)
        if len(files) > 1 or (foreign and kind == wanted):
            yield _several(kind, files, foreign or files)
        else:
            yield passed(files[0].path + (", caasctl's own" if files[0].ours else ""), subject=kind)


def _several(kind: str, files: tuple[CdiFile, ...], foreign: tuple[CdiFile, ...]) -> Finding:
    """What is foreign has to go; where all are caasctl's, all but the first."""
    gone = foreign if len(foreign) < len(files) or len(files) == 1 else foreign[1:]
    moves = (f"mv {shlex.quote(file.path)} {shlex.quote(file.path + '.off')}" for file in gone)
    whose = "written by another program" if len(files) == 1 else f"{len(files)} files"
    again = f" A device plugin writes its own again when its pod starts: give the pod an emptyDir at {DYNAMIC} as well."
    return failed(
        f"{whose}: {_few(tuple(file.path for file in files))}",
        wanted="one file, caasctl's",
        subject=kind,
        fix=Fix(" && ".join(moves)),
        cause="caasctl writes this kind itself, with names that last as long as the kernel's: of two writers in one directory neither"
        f" is heard.{again if any(file.path.startswith(DYNAMIC) for file in foreign) else ''}"
        " Where the other program is to own the GPUs, set spec.gpu.passthrough: off.",
        evidence=tuple(Evidence(file.path, "caasctl's" if file.ours else "not caasctl's") for file in files),
    )


@check(
    "cdi.stale",
    "Every CDI device is there, and is what its name says",
    reads=(CdiSpecs, PciFunctions, VfioCharacterDevices),
    why="Group and device numbers change with the firmware, the cards and the order of binding. A pod that asks for what is gone fails with "
    "`failed to stat CDI host device`; one whose number now belongs to another device gets that.",
    fix="Have the specification written anew: caasctl does at every boot, nvidia-ctk by `nvidia-ctk cdi generate`.",
    source="container-device-interface: pkg/cdi/container-edits_unix.go; https://docs.kernel.org/driver-api/vfio.html",
)
def stale(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The device nodes that the files in /etc/cdi and /var/run/cdi name, and the functions behind those of /dev/vfio."""
    found, behind = facts[CdiSpecs], behind_nodes(facts)
    ours = frozenset(file.path for file in found.files if file.ours)
    for source in found.sources:
        fix = _INIT if source.path in ours else _regenerate(source)
        said = [*_gone(source, found.missing, profile, fix), *_elsewhere(source, behind, facts, profile, fix)]
        yield from said
        if not said:
            yield passed(f"{len(source.spec.devices)} devices, all there", subject=source.path)
    yield from _nameless(found, behind, facts, profile)


def _by(fix: Fix) -> str:
    return "gpu" if fix == _INIT else ""


def _regenerate(source: Source) -> Fix:
    return Fix(f"mv {shlex.quote(source.path)} {shlex.quote(source.path + '.off')}")


def _gone(source: Source, missing: frozenset[str], profile: NodeProfile, fix: Fix) -> Iterator[Finding]:
    spec = source.spec
    nodes = (node.on_host for device in spec.devices for node in spec.nodes_of(device) if not node.numbered)
    lost = tuple(dict.fromkeys(node for node in nodes if node in missing))
    make = failed if spec.kind == profile.spec.gpu.resourceName else warned
    if lost:
        yield make(f"not there: {_few(lost)}", wanted="nodes that exist", subject=source.path, fix=fix, fixed_by=_by(fix),
                   cause="A container that asks for such a device fails with `failed to stat CDI host device`.",
                   evidence=tuple(Evidence(source.path, node) for node in lost[:_SHOWN]))  # fmt: skip


def _elsewhere(source: Source, behind: Functions, facts: Facts, profile: NodeProfile, fix: Fix) -> Iterator[Finding]:
    """Names of the profile's kind that lead to nothing that the profile passes through."""
    meant = {function.address for function in selected(facts, profile)}
    known = {function.address: function for function in facts[PciFunctions].functions}
    if source.spec.kind != profile.spec.gpu.resourceName or not meant:
        return
    for device in source.spec.devices:
        for node in vfio_nodes(source.spec, device):
            addresses = behind.behind(node)
            if addresses and not meant & set(addresses):
                found = ", ".join(
                    f"{address} (class {known[address].class_code})" for address in addresses if address in known
                )
                yield failed(f"{node} is {found or ', '.join(addresses)}", wanted="a GPU that the profile passes through",
                             subject=qualified(source.spec.kind, device.name), fix=fix, fixed_by=_by(fix),
                             cause="Numbers change with the cards, the firmware and the order of binding: a pod that asks for a GPU "
                             "gets this instead.")  # fmt: skip


def _nameless(found: CdiSpecs, behind: Functions, facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """GPUs on vfio-pci that no name leads to, where there is a file of their kind."""
    kind = profile.spec.gpu.resourceName
    files = tuple(source for source in found.sources if source.spec.kind == kind)
    reached = ways(files, behind)
    bound = (function.address for function in selected(facts, profile) if function.driver == VFIO_PCI)
    lost = tuple(address for address in bound if address not in reached)
    if files and lost:
        yield warned(f"no device of {kind} is {_few(lost)}", wanted="a name for every GPU on vfio-pci", subject=files[0].path,
                     fix=_INIT, fixed_by=_by(_INIT), cause="The file is older than the binding: no pod can get these GPUs.")  # fmt: skip


class _Offer(NamedTuple):
    """A device as a device plugin offers it, and the functions that it is, () where that cannot be told."""

    name: str
    addresses: tuple[str, ...]


@check(
    "cdi.resource_matches",
    "What device plugins offer is what CDI knows",
    reads=(DevicePlugins, CdiSpecs, PciFunctions, VfioCharacterDevices),
    why="Kata asks the kubelet for a pod's devices and looks up RESOURCE=ID in CDI, as it is: another name, or a group number where CDI has "
    "an index, is `unresolvable CDI devices`, and a GPU in two resources is given to two pods.",
    fix="Give the CDI kind the extended resource's name, and its devices the device plugin's ids.",
    source="kata-containers: src/runtime/pkg/containerd-shim-v2/device_cold_plug.go",
)
def resource_matches(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The kubelet's record of device plugins (kubelet_internal_checkpoint) against the names in /etc/cdi and /var/run/cdi."""
    if not hands_out_gpus(facts, profile):
        return
    plugins, sources, behind = facts[DevicePlugins], facts[CdiSpecs].sources, behind_nodes(facts)
    names = {name: source.path for source in sources for name in source.spec.names}
    passed_through = {profile.spec.gpu.resourceName, *writers(sources)}
    meant = _groups_meant(facts, profile)
    offers: list[_Offer] = []
    for resource, ids in plugins.registered.items():
        if ids and (resource in passed_through or set(ids) <= meant):
            offers += _offers(resource, ids, sources, behind)
            yield _known(resource, ids, names, profile.spec.gpu.resourceName)
    yield from _offered_twice(offers, profile.spec.gpu.resourceName)


def _groups_meant(facts: Facts, profile: NodeProfile) -> frozenset[str]:
    """Groups of GPUs on vfio-pci: a resource with only such ids is one of GPUs, whatever its name."""
    return frozenset(f.iommu_group for f in selected(facts, profile) if f.driver == VFIO_PCI and f.iommu_group)


def _known(resource: str, ids: tuple[str, ...], names: Mapping[str, str], wanted: str) -> Finding:
    lost = tuple(each for each in ids if qualified(resource, each) not in names)
    if not lost:
        return passed(f"{len(ids)} offered, all known to CDI: {_few(ids)}", subject=resource)
    has = tuple(name.partition("=")[2] for name in names if name.startswith(f"{resource}="))
    fix = _agree(resource, lost[0], wanted, known=bool(has))
    return failed(
        f"offered: {_few(lost)}; in CDI: {_few(has) or 'no such kind'}",
        wanted="a CDI device for every id that is offered",
        subject=resource,
        fix=fix,
        fixed_by=_by(fix),
        cause=f"A Kata pod that is given one fails with `unresolvable CDI devices {qualified(resource, lost[0])}`.",
        evidence=(Evidence(CHECKPOINT, f"{resource}: {_few(ids)}"),),
    )


def _agree(resource: str, lost: str, wanted: str, *, known: bool) -> Fix:
    if known:
        return Fix(
            f"restart the device plugin's pod, so that it counts its devices anew; if it still offers {lost}, take it away",
            FixKind.EDIT,
        )
    if resource == wanted:
        return _INIT
    alias = f"NVIDIA's sandbox device plugin: P_GPU_ALIAS={split(wanted)[1]}"
    return Fix(f"have the device plugin offer {wanted} instead ({alias}), or take it away", FixKind.EDIT)


def _offers(resource: str, ids: tuple[str, ...], sources: tuple[Source, ...], behind: Functions) -> Iterator[_Offer]:
    """By CDI where it has the name; else a number is taken for a group's, as KubeVirt's device plugin has it."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for address, found in ways(sources, behind).items():
        for way in found:
            by_name[way.name].append(address)
    for each in ids:
        name = qualified(resource, each)
        yield _Offer(name, tuple(dict.fromkeys(by_name.get(name, ()))) or behind.groups.get(each, ()))


def _offered_twice(offers: list[_Offer], wanted: str) -> Iterator[Finding]:
    names: dict[str, list[str]] = defaultdict(list)
    for offer in offers:
        for address in offer.addresses:
            names[address].append(offer.name)
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for address, each in names.items():
        together[tuple(each)].append(address)
    for found, addresses in together.items():
        if len(found) > 1:
            yield failed(f"offered as {' and '.join(found)}", wanted="one resource for each GPU", subject=", ".join(addresses),
                         fix=Fix(f"take away the device plugin that offers {_other(found, wanted)}", FixKind.EDIT),
                         cause="The scheduler counts it twice: two pods get it, the second fails with `Device or resource busy`.")  # fmt: skip


def _other(names: tuple[str, ...], wanted: str) -> str:
    """The last resource that is not the profile's."""
    resources = tuple(name.partition("=")[0] for name in names)
    return next((resource for resource in resources[::-1] if resource != wanted), resources[-1])


CHECKS: tuple[Check, ...] = (one_writer, stale, resource_matches)
