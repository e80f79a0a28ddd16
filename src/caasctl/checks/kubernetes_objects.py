"""RuntimeClasses in a cluster that lives: there, with the handler of their name, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kubernetes_objects import ClusterObjects
from caasctl.model import Check, Facts, Finding, Fix, check, failed, passed, warned
from caasctl.needs.containerd import handlers
from caasctl.profile import NodeProfile


@check(
    "kubernetes.runtime_classes",
    "Each Kata handler has a RuntimeClass of caasctl's",
    reads=(ClusterObjects, PciFunctions),
    why='Without it a pod with that runtimeClassName is refused: `pod rejected: RuntimeClass "kata-qemu" not found`; with another '
    "handler behind the name it runs on what nobody expects.",
    fix="caasctl init-node --phase cluster; where another tool made one of that name, decide whose it is to be.",
    source="kubernetes.io/docs/concepts/containers/runtime-class; kata-containers tools/packaging/kata-deploy/helm-chart",
    fixed_by="cluster",
    gates=("cluster",),
)
def runtime_classes(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """RuntimeClasses of the handlers in effect, by kubectl, where an API server answers."""
    if not profile.begins_cluster:
        return
    seen = facts[ClusterObjects]
    if not seen.asked:
        return
    for handler in handlers(facts, profile):
        found = seen.runtime_class(handler)
        if found is None:
            yield warned(
                "not there",
                wanted=f"a RuntimeClass {handler}",
                subject=handler,
                fix=Fix("caasctl init-node --phase cluster"),
            )
        elif not found.ours:
            made = f"made by {found.manager}" if found.manager else "made by somebody else"
            yield failed(f"handler {found.handler}, {made}", wanted=f"handler {handler}, made by caasctl", subject=handler, fixed_by="",
                         cause="caasctl writes over no object of others, and pods of that name run as its maker wants",
                         fix=Fix(f"kubectl delete runtimeclass {handler}, if nobody needs it; else take {handler} out of spec.runtimes"))  # fmt: skip
        else:
            yield passed(f"handler {found.handler}", subject=handler)


CHECKS: tuple[Check, ...] = (runtime_classes,)
