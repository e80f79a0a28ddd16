"""Pods and RuntimeClasses in files that doctor was given: what the node refuses of them, and what reaches the host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.containerd_config import ContainerdEffective
from caasctl.facts.given import OBJECTS, Given, GivenFiles, dotted, get, items, table, text
from caasctl.facts.kata import KataConfigs, KataTrees
from caasctl.formats.documents import Document
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import kata_tree
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.tables import cri
from caasctl.syntax.workload import Pod, objects, pods

_ANNOTATION = "io.katacontainers.config.hypervisor."
_HUGE, _MEMORY = "hugepages-", "memory"
_SHARED = ("hostNetwork", "hostPID", "hostIPC")


def _documents(facts: Facts) -> Iterator[tuple[Given, Document]]:
    given = facts.get(GivenFiles)
    for file in given.of(OBJECTS) if given else ():
        for document in file.documents:
            yield file, document


def _pods(facts: Facts) -> Iterator[tuple[Given, Document, Pod]]:
    for file, document in _documents(facts):
        yield from ((file, document, pod) for pod in pods(document.data))


@check(
    "kubernetes.file_resources",
    "The API server and the kubelet take what a pod of a given file asks for",
    reads=(),
    why="The pod is refused: `Invalid value: HugePages require cpu or memory`, `must be equal to hugepages request`, or stays Pending.",
    fix="With hugepages ask for cpu or memory as well; extended resources are whole numbers, and limits.",
    source="kubernetes: pkg/apis/core/validation/validation.go",
)
def file_resources(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The resources of all containers."""
    for file, document, pod in _pods(facts):
        said = [*_hugepages(pod), *_extended(pod)]
        for path, problem, wanted in said:
            yield failed(f"{pod.name}: {problem}", wanted=wanted, subject=file.name, evidence=(file.at(document, path),),
                         fix=Fix(f"in {file.name} line {document.line(*path)}: {wanted}", FixKind.EDIT))  # fmt: skip
        if not said:
            yield passed(pod.name, subject=file.name)


def _hugepages(pod: Pod) -> Iterator[tuple[tuple[object, ...], str, str]]:
    for path, container in pod.containers():
        names = {str(name) for word in ("limits", "requests") for name in table(container, "resources", word)}
        huge = sorted(name for name in names if name.startswith(_HUGE))
        if huge and not names & {"cpu", _MEMORY}:
            at = (*path, "resources", "limits", huge[0])
            yield at, f"{huge[0]} without cpu or memory", "memory and cpu beside it"


def _extended(pod: Pod) -> Iterator[tuple[tuple[object, ...], str, str]]:
    for path, name, amount in pod.resources():
        if "/" in name and not name.startswith("kubernetes.io/") and not re.fullmatch(r"\d+k?", amount):
            yield path, f"{name}: {amount}", "a whole number"
        elif "/" in name and path[-2] == "requests":
            yield path, f"{name} is requested and has no limit", "the same number in limits"


@check(
    "kubernetes.file_tenant",
    "A pod of a given file does not reach past its sandbox",
    reads=(),
    why="As a tenant's it is refused (`violates PodSecurity`), or it breaks the isolation that tenants are promised; with Kata hostPath and"
    " host namespaces are the guest's or the host's, seldom what was meant.",
    fix="Leave them out of tenants' pods; a device plugin or an agent has its own namespace with the label privileged.",
    source="https://kubernetes.io/docs/concepts/security/pod-security-standards/",
)
def file_tenant(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """privileged, hostPath, hostNetwork, hostPID and hostIPC of pods."""
    for file, document, pod in _pods(facts):
        places = [
            *(
                (*path, "securityContext", "privileged")
                for path, one in pod.containers()
                if get(one, "securityContext", "privileged") is True
            ),
            *((*pod.path, "spec", word) for word in _SHARED if pod.spec.get(word) is True),
            *(
                (*pod.path, "spec", "volumes", at, "hostPath")
                for at, one in enumerate(items(pod.spec, "volumes"))
                if get(one, "hostPath")
            ),
        ]
        for path in places[:1]:
            names = ", ".join(dict.fromkeys(str(place[-1]) for place in places))
            yield warned(f"{pod.name}: {names}", wanted="none of it in a tenant's pod", subject=file.name,
                         evidence=tuple(file.at(document, place) for place in places[:3]),
                         fix=Fix(f"in {file.name} line {document.line(*path)}: take {dotted(path)} out, unless this is the operator's own", FixKind.EDIT))  # fmt: skip


@check(
    "kubernetes.file_annotations",
    "Kata takes the annotations of a pod of a given file",
    reads=(),
    why="The pod does not start: `annotation io.katacontainers.config.hypervisor.default_memory is not enabled`.",
    fix="Ask by resources.limits, or name the annotation in spec.kata.annotations of the profile.",
    source="kata-containers: src/runtime/pkg/oci/utils.go",
)
def file_annotations(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Annotations io.katacontainers.config.hypervisor.* against enable_annotations of the handler, where a host is given."""
    configs, trees = facts.get(KataConfigs), facts.get(KataTrees)
    tree = kata_tree(facts, profile) if trees else None
    for file, document, pod in _pods(facts):
        config = configs.in_effect(pod.runtime_class, tree) if configs else None
        for key in pod.annotations if config else ():
            name = key.removeprefix(_ANNOTATION)
            path = (*pod.path, "metadata", "annotations", key)
            if name != key and config and not any(_allows(entry, name) for entry in config.annotations):
                yield failed(f"{pod.name}: {key}", wanted=f"one of {', '.join(config.annotations) or 'none'}", subject=file.name,
                             fix=Fix(f"in {file.name} line {document.line(*path)}: take {key} out, and ask by resources.limits", FixKind.EDIT),
                             evidence=(file.at(document, path, key),))  # fmt: skip


def _allows(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return pattern == name


@check(
    "kubernetes.file_handler",
    "The handler of a RuntimeClass of a given file is one that containerd has",
    reads=(),
    why='Pods of the class stop with `no runtime for "..." is configured`.',
    fix="handler: a name in containerd's runtimes; `caasctl init-node` makes those of the profile.",
    source="https://kubernetes.io/docs/concepts/containers/runtime-class/",
)
def file_handler(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The handler of RuntimeClasses; containerd's configuration where a host is given."""
    effective = facts.get(ContainerdEffective)
    known = cri(effective.data).runtimes if effective and not effective.error else None
    for file, document in _documents(facts):
        for path, one in objects(document.data):
            handler, at = text(one, "handler"), (*path, "handler")
            if text(one, "kind") != "RuntimeClass":
                continue
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", handler) or (
                known is not None and handler not in known
            ):
                wanted = ", ".join(known) if known else "a handler's name, at the top beside kind"
                yield failed(f"handler {handler or 'not given'}", wanted=wanted, subject=file.name, evidence=(file.at(document, at),),
                             fix=Fix(f"in {file.name} line {document.line(*at)}: handler: {next(iter(known), 'kata-qemu') if known else 'kata-qemu'}", FixKind.EDIT))  # fmt: skip
            else:
                yield passed(f"handler {handler}", subject=file.name)


@check(
    "kubernetes.file_overhead",
    "A RuntimeClass of a given file counts the memory of its virtual machine",
    reads=(),
    why="Without overhead the hypervisor's memory counts as the pod's: the kernel ends QEMU (`Memory cgroup out of memory`), and the"
    " scheduler takes the node for emptier than it is.",
    fix="overhead.podFixed of Kata's chart: 320Mi for kata-qemu, 130Mi for kata-clh, 10Gi for GPUs.",
    source="kata-containers: tools/packaging/kata-deploy/helm-chart, runtimeclasses.yaml",
)
def file_overhead(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """overhead.podFixed of RuntimeClasses whose handler is one of Kata's."""
    for file, document in _documents(facts):
        for path, one in objects(document.data):
            if text(one, "kind") != "RuntimeClass" or not text(one, "handler").startswith("kata"):
                continue
            memory, at = text(one, "overhead", "podFixed", "memory"), (*path, "overhead", "podFixed")
            if memory:
                yield passed(f"memory {memory}", subject=file.name)
            else:
                yield warned(f"{text(one, 'handler')} has no overhead", wanted="overhead.podFixed.memory", subject=file.name,
                             evidence=(file.at(document, at, "overhead: not given"),),
                             fix=Fix(f"in {file.name} line {document.line(*at)}: overhead: {{podFixed: {{memory: 320Mi, cpu: 250m}}}}", FixKind.EDIT))  # fmt: skip


CHECKS: tuple[Check, ...] = (
    file_resources, file_tenant, file_annotations, file_handler, file_overhead,
)  # fmt: skip
