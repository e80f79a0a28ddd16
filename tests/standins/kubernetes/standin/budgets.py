"""PodDisruptionBudgets: what the disruption controller says of them, and what the API server makes of an eviction.

Sources: kubernetes/kubernetes pkg/registry/core/pod/storage/eviction.go (its order, 429 and its words, the 500 for two budgets),
pkg/controller/disruption (status), pkg/apis/policy.
"""

from __future__ import annotations

from typing import Any

from .store import Place, Refusal, Store

Object = dict[str, Any]
VERSION, RESOURCE = "policy/v1", "poddisruptionbudgets"


def selects(budget: Object, pod: Object) -> bool:
    """By matchLabels; an empty selector selects all, none selects nothing."""
    selector = budget["spec"].get("selector")
    labels = pod["metadata"].get("labels", {})
    if selector is None or budget["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def status(budget: Object, pods: list[Object]) -> Object:
    """As the disruption controller counts: numbers and percentages of those that are expected, taken as those that are there."""
    mine = [pod for pod in pods if selects(budget, pod)]
    healthy = sum(is_ready(pod) for pod in mine)
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        wanted = len(mine) - _number(spec["maxUnavailable"], len(mine))
    else:
        wanted = _number(spec.get("minAvailable", 1), len(mine))
    return {
        "currentHealthy": healthy,
        "desiredHealthy": wanted,
        "expectedPods": len(mine),
        "disruptionsAllowed": max(0, healthy - wanted),
    }


def _number(value: int | str, of: int) -> int:
    return -(-int(value.rstrip("%")) * of // 100) if isinstance(value, str) else value


def is_ready(pod: Object) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ())
    )


def evict(store: Store, where: Place) -> Object:
    """Of `POST pods/NAME/eviction`."""
    pod = store.get(where)
    found = [budget for budget in store.listed(VERSION, RESOURCE, where.namespace) if selects(budget, pod)]
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        found = []
    if len(found) > 1:
        raise Refusal(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
    for budget in found:
        now = status(budget, store.listed("v1", "pods", where.namespace))
        unready = not is_ready(pod) and now["currentHealthy"] >= now["desiredHealthy"] > 0
        if now["disruptionsAllowed"] < 1 and not unready:
            raise Refusal(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
    store.delete(where)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
