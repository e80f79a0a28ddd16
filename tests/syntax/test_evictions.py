"""What a drain makes of pods and budgets, of objects as the API gives them."""

from __future__ import annotations

from typing import Any

import pytest

from caasctl.syntax.live.evictions import Budget, Kind, Moved, left, local_claims, matches, parse_budget, parse_pod

READY = [{"type": "Ready", "status": "True"}]


def item(owner: str = "ReplicaSet", **parts: Any) -> dict[str, Any]:
    meta = {"namespace": "web", "name": "front", **parts.pop("metadata", {})}
    owners = [{"kind": owner, "name": "front", "controller": True}] if owner else []
    return {
        "metadata": {"ownerReferences": owners, **meta},
        "spec": parts.pop("spec", {}),
        "status": {"phase": "Running", "conditions": READY, **parts},
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (item(), Kind.OWNED),
        (item("DaemonSet"), Kind.DAEMON),
        (item(""), Kind.BARE),
        (item("", phase="Succeeded"), Kind.DONE),
        (item("", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}), Kind.MIRROR),
        ({}, Kind.BARE),
    ],
)
def test_kinds_of_pods(given: dict[str, Any], kind: Kind) -> None:
    assert parse_pod(given).kind is kind


def test_volumes_of_a_pod() -> None:
    volumes = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "disk", "hostPath": {"path": "/data"}},
        {"name": "db", "persistentVolumeClaim": {"claimName": "db-0"}},
    ]
    pod = parse_pod(item(spec={"volumes": volumes}))
    assert (pod.scratch, pod.paths, pod.claims) == (("tmp",), ("/data",), ("db-0",))


def test_what_tolerates_a_closed_node_is_not_left_there_but_back() -> None:
    pod = parse_pod(item(spec={"tolerations": [{"operator": "Exists"}]}))
    assert left([pod], closed=False) == (pod,)
    assert left([pod], closed=True) == ()
    other = parse_pod(item(spec={"tolerations": [{"key": "gpu", "operator": "Exists"}]}))
    assert left([other], closed=True) == (other,)


def budget(**status: int) -> Budget:
    told = {
        "metadata": {"namespace": "web", "name": "stay"},
        "spec": {"selector": {"matchLabels": {"app": "front"}}},
        "status": status,
    }
    return parse_budget(told)


def test_a_budget_holds_its_pods_while_it_allows_nothing() -> None:
    pod = Moved("web", "front", Kind.OWNED, labels={"app": "front"}, ready=True)
    none = budget(disruptionsAllowed=0, currentHealthy=1, desiredHealthy=1)
    assert none.holds(pod)
    assert not budget(disruptionsAllowed=1, currentHealthy=2, desiredHealthy=1).holds(pod)
    assert not none.holds(Moved("other", "front", Kind.OWNED, labels={"app": "front"}, ready=True))
    assert not none.holds(Moved("web", "front", Kind.DAEMON, labels={"app": "front"}, ready=True))
    assert not none.holds(Moved("web", "front", Kind.DONE, labels={"app": "front"}))
    sick = Moved("web", "front", Kind.OWNED, labels={"app": "front"})
    assert not none.holds(sick)
    assert budget(disruptionsAllowed=0, currentHealthy=0, desiredHealthy=1).holds(sick)


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ({}, True),
        ({"matchLabels": {"app": "front"}}, True),
        ({"matchLabels": {"app": "back"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["front", "back"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["front"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Newer"}]}, True),
    ],
)
def test_selectors(selector: dict[str, Any], *, met: bool) -> None:
    assert matches(selector, {"app": "front"}) is met


def test_a_budget_without_a_selector_selects_nothing() -> None:
    assert not Budget("web", "stay", None).selects(Moved("web", "front", Kind.OWNED))


def test_claims_on_a_node_s_own_disk() -> None:
    volumes: tuple[dict[str, Any], ...] = ({"spec": {"local": {"path": "/d"}, "claimRef": {"namespace": "web", "name": "db-0"}}}, {"spec": {"nfs": {}, "claimRef": {"namespace": "web", "name": "n"}}},
               {"spec": {"hostPath": {}}}, {})  # fmt: skip
    assert local_claims(volumes) == {("web", "db-0")}
