"""Pods in files that doctor was given: GPUs are asked for once, of a runtime that can pass them through."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.given import OBJECTS, Given, GivenFiles, dotted
from caasctl.formats.documents import Document
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import GPU_HANDLER, NodeProfile
from caasctl.syntax.workload import Pod, pods

_CANNOT = ("kata-clh", "clh", "kata-fc", "fc", "kata-dragonball", "kata-remote")


def _pods(facts: Facts) -> Iterator[tuple[Given, Document, Pod]]:
    given = facts.get(GivenFiles)
    for file in given.of(OBJECTS) if given else ():
        for document in file.documents:
            for pod in pods(document.data):
                yield file, document, pod


@check(
    "gpu.file_injectors",
    "A pod of a given file gets its GPUs in one way",
    reads=(),
    why="An annotation of CDI and a device plugin's resource each put a device into the pod, chosen by two who do not know of each other:"
    " the same GPU twice (`Duplicated device path`, `IommuDmaMap(Error(17))`), or one that another pod has.",
    fix="Ask by resources.limits only; the device plugin names the CDI device by itself.",
    source="kata-containers#4211; https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/",
)
def file_injectors(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Annotations cdi.k8s.io/* and resources.limits of all containers of pods and of what makes pods."""
    for file, document, pod in _pods(facts):
        named, asked = list(pod.cdi()), list(pod.gpus())
        if named and asked:
            (at, key, devices), (place, resource) = named[0], asked[0]
            yield failed(f"{pod.name}: annotation {key}: {devices}, and limit {resource}", wanted="the limit alone", subject=file.name,
                         fix=Fix(f"in {file.name} line {document.line(*at)}: take the annotation {key} out", FixKind.EDIT),
                         evidence=(file.at(document, at, f"{key}: {devices}"), file.at(document, place)))  # fmt: skip
        elif named:
            at, key, devices = named[0]
            yield warned(f"{pod.name}: annotation {key}: {devices}, and no limit", wanted="resources.limits", subject=file.name,
                         cause="Nobody counts a device that is named by annotation: the next pod gets the same one (`Device or resource"
                         " busy`), and a tenant may name what is another's.", evidence=(file.at(document, at, f"{key}: {devices}"),),
                         fix=Fix(f"in {file.name} line {document.line(*at)}: ask for it by resources.limits instead", FixKind.EDIT))  # fmt: skip
        elif asked:
            yield passed(f"{pod.name}: {', '.join(dict.fromkeys(name for _, name in asked))}", subject=file.name)


@check(
    "gpu.file_runtime",
    "A pod of a given file that asks for a GPU runs on a runtime that can pass it through",
    reads=(),
    why="A GPU on vfio-pci reaches a pod only through a virtual machine: runc gives the pod a node of /dev/vfio that it can do nothing"
    " with, and kata-clh fails: `cold_plug_vfio= or hot_plug_vfio= port is not set for device`.",
    fix=f"runtimeClassName: {GPU_HANDLER}; docs/runtimes.md says why.",
    source="kata-containers#10582, #11687, #12257",
)
def file_runtime(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The runtimeClassName of pods with a limit on a resource that passes GPUs through."""
    for file, document, pod in _pods(facts):
        asked = [name for _, name in pod.gpus()]
        name, path = pod.runtime_class, (*pod.path, "spec", "runtimeClassName")
        if not asked:
            continue
        if name in _CANNOT or not name:
            said = f"runtimeClassName {name}" if name else "no runtimeClassName"
            yield failed(f"{pod.name}: {said}, with {asked[0]}", wanted=f"runtimeClassName: {GPU_HANDLER}", subject=file.name,
                         fix=Fix(f"in {file.name} line {document.line(*path)}: {dotted(path)}: {GPU_HANDLER}", FixKind.EDIT),
                         evidence=(file.at(document, path, f"{dotted(path)}: {name or 'not given'}"),))  # fmt: skip
        else:
            yield passed(f"{pod.name}: {name}", subject=file.name)


CHECKS: tuple[Check, ...] = (file_injectors, file_runtime)
