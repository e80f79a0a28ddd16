"""Each RuntimeClass of the cluster, followed to the programs and files that its pods run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, Level, check, failed, passed, unknown
from caasctl.needs.live import Step, fits, node_of, runtime_steps
from caasctl.profile import NodeProfile
from caasctl.syntax.live.others import RuntimeClass


@check(
    "kubernetes.runtime_chain",
    "Each RuntimeClass leads to a handler, a shim and a guest that are on this node",
    reads=(LiveObjects,),
    why="A RuntimeClass is a name only: the API server takes it whether or not the node has what it leads to, and its pods stay in"
    " ContainerCreating.",
    fix="Bring what the first broken link names, or give the class a nodeSelector that leaves this node out.",
    source="https://kubernetes.io/docs/concepts/containers/runtime-class/; kata-containers: docs/how-to/containerd-kata.md",
)
def runtime_chain(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """RuntimeClasses and their nodeSelector, handlers in containerd's effective configuration, shims on disk, ConfigPath's files and
    what they name. A class that no pod uses is a warning.
    """
    node = node_of(facts) if facts[LiveObjects].asked else None
    for one in facts[LiveObjects].classes:
        if not fits(one, node):
            yield from _elsewhere(one, facts)
        else:
            yield _judged(one, tuple(runtime_steps(facts, one.handler)), facts)


def _elsewhere(one: RuntimeClass, facts: Facts) -> Iterator[Finding]:
    """Not this node's; a failure where it is no node's."""
    objects = facts[LiveObjects]
    labels = ", ".join(f"{key}={value}" for key, value in one.selector.items())
    if objects.whole and not any(fits(one, node) for node in objects.nodes):
        found = failed(f"no node has {labels}", wanted="a node with the class's nodeSelector", subject=one.name,
                       cause="Its pods stay Pending: `node(s) didn't match Pod's node affinity/selector`.",
                       fix=Fix(f"kubectl label node {objects.nodes[0].name if objects.nodes else 'NODE'} {labels.replace(', ', ' ')}"))  # fmt: skip
        yield found if _used(one, facts) else replace(found, level=Level.WARN)
    else:
        yield passed(f"not for this node: {labels}", subject=one.name)


def _used(one: RuntimeClass, facts: Facts) -> bool:
    pods = facts.get(LivePods)
    return any(pod.runtime_class == one.name for pod in pods.pods) if pods else False


def _judged(one: RuntimeClass, steps: tuple[Step, ...], facts: Facts) -> Finding:
    last, way = steps[-1], " -> ".join((one.name, *(step.found for step in steps)))
    if last.unknown:
        return unknown(f"{last.name} could not be looked at: {last.found}", subject=one.name)
    if not last.broken:
        return passed(way, subject=one.name)
    found = failed(f"{last.name}: {last.found}", wanted=f"what {one.name} leads to", subject=one.name, cause=last.cause,
                   fix=Fix(last.fix, FixKind.EDIT if "`" in last.fix else FixKind.COMMAND), evidence=(Evidence(f"runtimeclass {one.name}", way),))  # fmt: skip
    return found if _used(one, facts) else replace(found, level=Level.WARN)


CHECKS: tuple[Check, ...] = (runtime_chain,)
