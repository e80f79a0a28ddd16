"""Who may leave a cluster, what is said before, and what stays behind; of literal clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.facts.cluster_leaving import Leaving, Member
from caasctl.model import RefusedError
from caasctl.needs.leaving import Wish, before, behind, lost, refuse
from caasctl.syntax.live.evictions import Budget, Kind, Moved

WORKER = Leaving("w1", "/etc/kubernetes/kubelet.conf", whole=True, registered=True)
PLANE = Leaving("a", "/etc/kubernetes/admin.conf", admin=True, plane=True, etcd=True, whole=True, registered=True, planes=("a", "b", "c"),
                members=(Member("a", True), Member("b", True), Member("c", True)))  # fmt: skip
WEB = Moved("web", "front", Kind.OWNED, labels={"app": "front"}, ready=True)
CILIUM = Moved("kube-system", "cilium-x", Kind.DAEMON)


def test_a_plane_that_can_be_spared_and_an_empty_worker_may_go() -> None:
    refuse(PLANE, Wish())
    refuse(replace(WORKER, pods=(CILIUM,)), Wish())


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Leaving("x"), "in no cluster"),
        (replace(WORKER, whole=False), "only a part"),
        (replace(WORKER, registered=False), "leads to has no node w1"),
        (replace(PLANE, registered=False), "leads to has no node a"),  # its name changed: the others would be itself
        (replace(PLANE, another="its boot ID is b, this host's c"), "is another machine"),
        (replace(PLANE, planes=("a",)), "last control plane"),
        (replace(PLANE, planes=()), "last control plane"),
        (replace(PLANE, silent="refused"), "does not answer"),
        (replace(PLANE, planes=("a", "b"), members=(Member("a", True), Member("b", False))), "quorum"),
        (replace(PLANE, members=(Member("a", True), Member("b", True), Member("c", False))), "quorum"),
        (replace(PLANE, members=(Member("a", False), Member("b", True), Member("c", False))), "quorum"),
        (replace(PLANE, members=()), "quorum"),
        (replace(WORKER, silent="refused"), "cannot be asked"),
        (replace(WORKER, pods=(WEB,)), "cannot drain it"),
        (replace(PLANE, pods=(Moved("web", "one", Kind.BARE),)), "nobody makes this pod again: web/one"),
        (replace(PLANE, pods=(replace(WEB, scratch=("tmp",)),)), "web/front"),
    ],
)
def test_reasons_to_stay(seen: Leaving, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        refuse(seen, Wish())


def test_a_dead_member_of_its_own_may_go_and_external_etcd_is_not_counted() -> None:
    refuse(replace(PLANE, members=(Member("a", False), Member("b", True), Member("c", True))), Wish())
    refuse(replace(PLANE, etcd=False, members=()), Wish())


def test_four_members_can_lose_one_while_two_others_are_there() -> None:
    five = tuple(
        Member(name, ready) for name, ready in (("a", True), ("b", True), ("c", True), ("d", True), ("e", False))
    )
    refuse(replace(PLANE, members=five), Wish())
    with pytest.raises(RefusedError, match="quorum"):
        refuse(replace(PLANE, members=(*five[:3], Member("d", False), Member("e", False))), Wish())


def test_words_that_let_it_go() -> None:
    refuse(replace(WORKER, silent="refused"), Wish(drain=False))
    refuse(replace(PLANE, pods=(Moved("web", "one", Kind.BARE),)), Wish(force=True))
    refuse(replace(PLANE, pods=(replace(WEB, scratch=("tmp",)),)), Wish(scratch=True))


def test_what_is_said_before() -> None:
    seen = replace(
        PLANE,
        planes=("a", "b"),
        pods=(replace(WEB, claims=("db",), paths=("/data",)), CILIUM),
        local=frozenset({("web", "db")}),
        budgets=(Budget("web", "stay", {"matchLabels": {"app": "front"}}, 0, 1, 1), Budget("web", "too", {}, 5)),
    )
    said = " ".join(before(seen, Wish()))
    for words in (
        "1 pod, web/front",
        "web/stay would hold web/front",
        "More than one budget",
        "this node's own disk",
        "host's own files",
        "One control plane is left",
    ):
        assert words in said, words
    assert "No pod is moved: 1 pod here is killed, web/front" in " ".join(before(seen, Wish(drain=False)))
    assert (
        lost(replace(seen, pods=(Moved("web", "one", Kind.BARE, scratch=("t",)),)))
        == "pods that nobody makes again: web/one; emptyDir volumes of web/one"
    )
    assert lost(seen) == ""


def test_what_stays_behind() -> None:
    assert "is deleted at the end" in " ".join(behind(PLANE))
    assert "load balancer before lb:6443" in " ".join(behind(replace(PLANE, endpoint="lb:6443")))
    worker = " ".join(behind(WORKER))
    assert "`kubectl delete node w1`" in worker
    assert "`kubectl delete ciliumnode w1`" in worker
    assert "load balancer" not in worker
