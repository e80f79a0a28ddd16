"""Processes that hold a GPU: of pods, of pods that are gone, of no pod."""

from __future__ import annotations

from tests.checks.test_kubernetes_kubelet import judge, one, text

from caasctl.checks.gpu_orphans import orphan_holders
from caasctl.facts.gpu_vfio import Holder, VfioNodes
from caasctl.facts.kubernetes_containers import Sandboxes
from caasctl.model import Level
from caasctl.syntax.cri import Sandbox

ID = "c9a80c0d59849aaa"


def nodes(sandbox: str = ID, state: str = "S", *, complete: bool = True) -> VfioNodes:
    return VfioNodes(
        ("25",), holders=(Holder("/dev/vfio/25", 77, "qemu-system-x86", sandbox, state),), complete=complete
    )


def pods(*, ready: bool = True) -> Sandboxes:
    return Sandboxes((Sandbox(ID, "vm", "tenant", ready=ready),))


def test_a_pod_s_machine_may_hold_a_card() -> None:
    assert one(orphan_holders, nodes(), pods()).found == "1 processes hold one, all of pods"
    assert one(orphan_holders, VfioNodes(("25",))).found == "nobody holds one"
    assert judge(orphan_holders, VfioNodes()) == []


def test_a_machine_whose_pod_is_gone_is_ended_after_its_shim() -> None:
    found = one(orphan_holders, nodes(), Sandboxes())
    assert (found.level, found.subject) == (Level.FAIL, "/dev/vfio/25 77")
    assert (
        found.found
        == "qemu-system-x86 (process 77) holds /dev/vfio/25, of the pod sandbox c9a80c0d59849, which containerd does not know"
    )
    assert text(found).startswith(f"pkill -f 'containerd-shim-kata.* -id {ID}'; sleep 5; kill -9 77")


def test_one_whose_pod_has_ended_loses_that_first() -> None:
    found = one(orphan_holders, nodes(), pods(ready=False))
    assert (found.level, text(found).split(";")[0]) == (Level.FAIL, "crictl rmp -f c9a80c0d59849")


def test_one_that_waits_inside_the_kernel_needs_a_reboot() -> None:
    found = one(orphan_holders, nodes(state="D"), Sandboxes())
    assert found.fix is not None
    assert found.fix.needs_reboot
    assert found.cause.startswith("It waits inside the kernel")


def test_one_of_no_pod_is_somebody_s() -> None:
    found = one(orphan_holders, nodes(""), pods())
    assert (found.level, found.found.endswith(", of no pod")) == (Level.FAIL, True)
    assert text(found).startswith("stop the virtual machine or program of process 77")


def test_what_cannot_be_seen_is_not_known() -> None:
    assert one(orphan_holders, nodes(), Sandboxes(error="no")).level is Level.UNKNOWN
    assert one(orphan_holders, nodes(complete=False), pods()).level is Level.UNKNOWN
