"""Pods that name a GPU in two ways, so that it is handed over twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, Level, check, failed, passed
from caasctl.needs.live import pods_here
from caasctl.profile import NodeProfile
from caasctl.syntax.live.pods import Pod

_CDI = "cdi.k8s.io/"
_NONE = ("", "none", "void")


@check(
    "gpu.two_injectors",
    "A pod names its GPU in one way",
    reads=(LivePods,),
    why="An annotation cdi.k8s.io/* and a device limit each hand the GPU to the sandbox: the second hot-plug of the same device fails"
    " with `Duplicated device path` or `Device or resource busy`.",
    fix="Keep the limit, which the scheduler counts, and take the annotation away.",
    source="field report: `Duplicated device path: /sys/bus/pci/devices/...`; https://github.com/cncf-tags/container-device-interface",
)
def two_injectors(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Annotations cdi.k8s.io/*, limits of devices, and NVIDIA_VISIBLE_DEVICES of pods on this node or on none; one that runs all the
    same is a warning.
    """
    if not facts[LivePods].asked:
        return
    pods = [pod for pod in pods_here(facts) if pod.phase != "Succeeded" and (pod.limits() or _names(pod))]
    bad = [found for pod in pods for found in _judged(pod)]
    yield from bad
    if pods and not bad:
        yield passed(f"{len(pods)} pods with devices")


def _names(pod: Pod) -> dict[str, str]:
    """Annotation -> CDI names, of all that name devices."""
    return {key: value for key, value in pod.annotations.items() if key.startswith(_CDI) and "=" in value}


def _judged(pod: Pod) -> Iterator[Finding]:
    limits, names = pod.limits(), _names(pod)
    for key, value in names.items():
        vendor = value.partition("/")[0]
        same = [limit for limit in limits if limit.partition("/")[0] == vendor]
        if same:
            yield _failed(
                pod,
                f"annotation {key}: {value}, and limit {same[0]}: {limits[same[0]]}",
                f"take the annotation {key} out of {_owner(pod)}",
            )
            return
    by_name = [one for one in pod.containers if one.gpus not in _NONE]
    if by_name and (names or limits) and "kata" in pod.runtime_class:
        one = by_name[0]
        other = next(iter(names.items()), None) or next(iter(limits.items()))
        yield _failed(pod, f"NVIDIA_VISIBLE_DEVICES={one.gpus} in container {one.name}, and {other[0]}: {other[1]}",
                      f"take NVIDIA_VISIBLE_DEVICES out of container {one.name} of {_owner(pod)}: it is for containers on the host's driver")  # fmt: skip


def _owner(pod: Pod) -> str:
    return f"{pod.owner} in {pod.namespace}" if pod.owner else f"pod {pod.full}"


def _failed(pod: Pod, found: str, fix: str) -> Finding:
    finding = failed(
        found,
        wanted="one of the two",
        subject=pod.full,
        fix=Fix(fix, FixKind.EDIT),
        evidence=(Evidence(f"pod {pod.full}", found),),
    )
    return replace(finding, level=Level.WARN) if pod.ready else finding


CHECKS: tuple[Check, ...] = (two_injectors,)
