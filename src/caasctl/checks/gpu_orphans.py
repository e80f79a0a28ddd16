"""Virtual machines that a crashed shim left behind: they hold a GPU, and no pod will ever end them."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.gpu_vfio import Holder, VfioNodes
from caasctl.facts.kubernetes_containers import Sandboxes
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown
from caasctl.profile import NodeProfile


@check(
    "gpu.orphan_holders",
    "Every process that holds a GPU belongs to a pod",
    reads=(VfioNodes, Sandboxes),
    why="The next pod that gets this card does not start: `vfio /dev/vfio/25: ... Device or resource busy`, and the cluster still counts "
    "the card as free.",
    fix="End what is left of the pod in this order: the pod's sandbox, its shim, the virtual machine.",
    source="https://docs.kernel.org/driver-api/vfio.html (a group is open once), kata-containers: shim-v2, virt_qemu",
)
def orphan_holders(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/proc/PID/fd and cmdline of every process, beside `crictl pods`."""
    nodes = facts[VfioNodes]
    if not nodes.groups and not nodes.devices:
        return
    if nodes.holders and facts[Sandboxes].error:
        yield unknown(f"the container runtime does not answer: {facts[Sandboxes].error}")
        return
    ready = {one.id: one.ready for one in facts[Sandboxes].known} if nodes.holders else {}
    left = [holder for holder in nodes.holders if not _alive(holder, ready)]
    yield from (_orphan(holder, known=_known(holder, ready)) for holder in left)
    if not left and not nodes.complete:
        yield unknown("only root sees what other users' processes hold", fix=Fix("run as root"))
    elif not left:
        pids = sorted({holder.pid for holder in nodes.holders})
        yield passed(f"{len(pids)} processes hold one, all of pods" if pids else "nobody holds one")


def _known(holder: Holder, ready: dict[str, bool]) -> bool:
    return bool(holder.sandbox) and any(one.startswith(holder.sandbox) for one in ready)


def _alive(holder: Holder, ready: dict[str, bool]) -> bool:
    return bool(holder.sandbox) and any(up for one, up in ready.items() if one.startswith(holder.sandbox))


def _orphan(holder: Holder, *, known: bool) -> Finding:
    short = holder.sandbox[:13]
    whose = (
        f"of the pod sandbox {short}, which {'has ended' if known else 'containerd does not know'}"
        if short
        else "of no pod"
    )
    return failed(
        f"{holder.command} (process {holder.pid}) holds {holder.node}, {whose}",
        wanted="no process, or one of a pod that runs",
        subject=f"{holder.node} {holder.pid}",
        cause=_cause(holder),
        fix=_end(holder, known=known),
        evidence=(Evidence(f"/proc/{holder.pid}/fd", holder.node),),
    )


def _cause(holder: Holder) -> str:
    if holder.state == "D":
        return "It waits inside the kernel, for the card or for a file system, and no signal ends it."
    return (
        ""
        if holder.sandbox
        else "It was started by something else than Kubernetes; the device plugin does not know that the card is taken."
    )


def _end(holder: Holder, *, known: bool) -> Fix:
    if holder.state == "D":
        return Fix("reboot: see `dmesg` for what it waits for before", needs_reboot=True)
    if not holder.sandbox:
        return Fix(
            f"stop the virtual machine or program of process {holder.pid} (systemctl status {holder.pid} names its unit)",
            FixKind.WAIT,
        )
    pod = f"crictl rmp -f {holder.sandbox[:13]}; " if known else ""
    return Fix(f"{pod}pkill -f 'containerd-shim-kata.* -id {holder.sandbox}'; sleep 5; kill -9 {holder.pid}"
               "   # still there after a minute: only a reboot helps")  # fmt: skip


CHECKS: tuple[Check, ...] = (orphan_holders,)
