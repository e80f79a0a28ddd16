"""What the controller manager and the scheduler do in a cluster of stand-ins: pods of daemon sets and deployments, node ranges.

Source: kubernetes/kubernetes pkg/controller/{nodeipam,daemon,deployment,endpointslice}, as far as `kubectl get` shows it.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import secrets
from typing import Any

from . import budgets, slices
from .client import ApiError, Client
from .pki import openssl

Object = dict[str, Any]
APPS = "/apis/apps/v1"
_CLOSED = "node.kubernetes.io/unschedulable"
LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def suffix() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(5))


class Controllers:
    def __init__(self, arguments: dict[str, str]) -> None:
        self._given = arguments
        self._client: Client | None = None

    def turn(self) -> None:
        """One look at everything; an API server that does not answer is waited for."""
        try:
            self._client = self._client or Client.of(self._given["kubeconfig"])
            nodes, pods = self._client.list("/api/v1/nodes"), self._client.list("/api/v1/pods")
            if self._given.get("allocate-node-cidrs") == "true":
                self._ranges(nodes)
            for kind in ("daemonsets", "deployments"):
                for owner in self._client.list(f"{APPS}/{kind}"):
                    self._tend(kind, owner, nodes, pods)
            self._cordon(nodes)
            self._budgets(pods)
            self._schedule(nodes, pods)
            slices.tend(self._client, pods)
            self._collect(pods)
            self._terminate()
            self._sign()
        except (ApiError, OSError):
            return

    def _ranges(self, nodes: list[Object]) -> None:
        taken = {cidr for node in nodes for cidr in node["spec"].get("podCIDRs", ())}
        for node in nodes:
            if node["spec"].get("podCIDRs"):
                continue
            found = [self._next(part, taken) for part in self._given["cluster-cidr"].split(",")]
            self._api.merge(
                f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"podCIDR": found[0], "podCIDRs": found}}
            )

    def _cordon(self, nodes: list[Object]) -> None:
        """The taint of a node that is closed for pods: pkg/controller/nodelifecycle."""
        for node in nodes:
            taints = node["spec"].get("taints", [])
            kept = [one for one in taints if one["key"] != _CLOSED]
            wanted = [*kept, {"key": _CLOSED, "effect": "NoSchedule"}] if node["spec"].get("unschedulable") else kept
            if wanted != taints:
                self._api.merge(f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": wanted}})

    def _budgets(self, pods: list[Object]) -> None:
        for budget in self._api.list(f"/apis/{budgets.VERSION}/{budgets.RESOURCE}"):
            status = budgets.status(budget, pods)
            if budget.get("status") != status:
                meta = budget["metadata"]
                self._api.merge(
                    f"/apis/{budgets.VERSION}/namespaces/{meta['namespace']}/{budgets.RESOURCE}/{meta['name']}",
                    {"status": status},
                )

    @property
    def _api(self) -> Client:
        assert self._client
        return self._client

    def _next(self, part: str, taken: set[str]) -> str:
        network = ipaddress.ip_network(part)
        size = int(self._given.get(f"node-cidr-mask-size-ipv{network.version}", "24" if network.version == 4 else "64"))
        return next(str(one) for one in network.subnets(new_prefix=size) if str(one) not in taken)

    def _tend(self, kind: str, owner: Object, nodes: list[Object], pods: list[Object]) -> None:
        meta, template = owner["metadata"], owner["spec"]["template"]
        mine = [pod for pod in pods if _owned(pod, meta["uid"])]
        chosen = [node for node in nodes if _selected(node, template["spec"])]
        fits = [node for node in chosen if _tolerated(node, template["spec"])]
        wanted = len(chosen) if kind == "daemonsets" else owner["spec"].get("replicas", 1)
        for _ in range(wanted - len(mine)):
            self._pod(owner, fits)
        for pod in mine:
            if not pod["spec"].get("nodeName") and fits:
                self._api.merge(_path(pod), {"spec": {"nodeName": fits[0]["metadata"]["name"]}})
        stale = [
            pod
            for pod in mine
            if pod["metadata"].get("annotations", {}).get("standin/generation") != _generation(owner)
            or (kind == "daemonsets" and not chosen)
        ]
        for pod in stale:
            self._api.delete(_path(pod))
        ready = sum(1 for pod in mine if pod not in stale and _ready(pod))
        status = _status(kind, wanted, len(mine), ready, len(mine) - len(stale), owner)
        if owner.get("status") != status:
            self._api.merge(f"{APPS}/namespaces/{meta['namespace']}/{kind}/{meta['name']}", {"status": status})

    def _pod(self, owner: Object, fits: list[Object]) -> None:
        meta, template = owner["metadata"], owner["spec"]["template"]
        spec = dict(template["spec"])
        if fits:
            spec["nodeName"] = fits[0]["metadata"]["name"]
        reference = {
            "apiVersion": "apps/v1",
            "kind": owner["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        condition = {"type": "PodScheduled", "status": "True"} if fits else {
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 node(s) had untolerated taint(s)."}  # fmt: skip
        self._api.put(f"/api/v1/namespaces/{meta['namespace']}/pods", {
            "metadata": {"name": f"{meta['name']}-{suffix()}", "namespace": meta["namespace"], "ownerReferences": [reference],
                         "labels": template["metadata"].get("labels", {}), "annotations": {"standin/generation": _generation(owner)}},
            "spec": spec, "status": {"phase": "Pending", "conditions": [condition]}})  # fmt: skip

    def _schedule(self, nodes: list[Object], pods: list[Object]) -> None:
        """Pods that nobody owns: the scheduler's words for the first thing that no node has."""
        for pod in pods:
            if pod["spec"].get("nodeName") or pod["metadata"].get("ownerReferences"):
                continue
            said = [_unfit(node, pod, pods) for node in nodes]
            if "" in said:
                condition = {"type": "PodScheduled", "status": "True"}
                name = nodes[said.index("")]["metadata"]["name"]
                self._api.merge(_path(pod), {"spec": {"nodeName": name}, "status": {"conditions": [condition]}})
                continue
            told = f"0/{len(nodes)} nodes are available: " + ", ".join(
                f"{said.count(one)} {one}" for one in sorted(set(said))
            )
            told += ". no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": told}
            if pod.get("status", {}).get("conditions") != [condition]:
                self._api.merge(_path(pod), {"status": {"phase": "Pending", "conditions": [condition]}})

    def _terminate(self) -> None:
        """What is in a namespace that ends, then the namespace."""
        for space in self._api.list("/api/v1/namespaces"):
            if "deletionTimestamp" not in space["metadata"]:
                continue
            name = space["metadata"]["name"]
            folders = [f"{APPS}/namespaces/{name}/daemonsets", f"{APPS}/namespaces/{name}/deployments", f"/api/v1/namespaces/{name}/pods",
                       f"/api/v1/namespaces/{name}/events"]  # fmt: skip
            inside = [f"{folder}/{one['metadata']['name']}" for folder in folders for one in self._api.list(folder)]
            for path in inside:
                self._api.delete(path)
            if not inside:
                self._api.call("PUT", f"/api/v1/namespaces/{name}/finalize", space)

    def _sign(self) -> None:
        folder = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
        for request in self._api.list(folder):
            if request.get("status", {}).get("certificate"):
                continue
            made = openssl("x509", "-req", "-CA", self._given["cluster-signing-cert-file"], "-CAkey", self._given["cluster-signing-key-file"],
                           "-set_serial", str(secrets.randbits(60)), "-days", "365",
                           given=base64.b64decode(request["spec"]["request"]))  # fmt: skip
            status = {
                "certificate": base64.b64encode(made).decode(),
                "conditions": [{"type": "Approved", "status": "True"}],
            }
            self._api.merge(f"{folder}/{request['metadata']['name']}", {"status": status})

    def _collect(self, pods: list[Object]) -> None:
        """Pods whose owner is gone go too."""
        uids = {
            owner["metadata"]["uid"]
            for kind in ("daemonsets", "deployments")
            for owner in self._api.list(f"{APPS}/{kind}")
        }
        for pod in pods:
            owners = pod["metadata"].get("ownerReferences", ())
            if owners and not any(owner["uid"] in uids for owner in owners):
                self._api.delete(_path(pod))


def _generation(owner: Object) -> str:
    """Another one for each other template."""
    return hashlib.sha256(json.dumps(owner["spec"]["template"], sort_keys=True).encode()).hexdigest()[:12]


def _selected(node: Object, spec: Object) -> bool:
    labels = node["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in spec.get("nodeSelector", {}).items())


def _unfit(node: Object, pod: Object, pods: list[Object]) -> str:
    """Why a node is not for a pod, in the scheduler's words; "" where it is."""
    if not _selected(node, pod["spec"]):
        return "node(s) didn't match Pod's node affinity/selector"
    if not _tolerated(node, pod["spec"]):
        return "node(s) had untolerated taint(s)"
    for name, number in _limits(pod).items():
        here = (one for one in pods if one["spec"].get("nodeName") == node["metadata"]["name"])
        used = sum(
            _limits(one).get(name, 0)
            for one in here
            if one.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        )
        if used + number > int(node.get("status", {}).get("allocatable", {}).get(name, 0)):
            return f"Insufficient {name}"
    return ""


def _limits(pod: Object) -> dict[str, int]:
    """What is asked for of extended resources."""
    asked = [each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"]]
    return {name: sum(int(one.get(name, 0)) for one in asked) for one in asked for name in one if "/" in name}


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _owned(pod: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences", ()))


def _ready(pod: Object) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ())
    )


def _tolerated(node: Object, spec: Object) -> bool:
    for taint in node["spec"].get("taints", ()):
        fits = any(
            (one.get("operator") == "Exists" and one.get("key") in (None, taint["key"]))
            or one.get("key") == taint["key"]
            for one in spec.get("tolerations", ())
        )
        if taint["effect"] != "PreferNoSchedule" and not fits:
            return False
    return True


def _status(kind: str, wanted: int, there: int, ready: int, updated: int, owner: Object) -> Object:
    generation = owner["metadata"].get("generation", 1)
    if kind == "daemonsets":
        return {"desiredNumberScheduled": wanted, "currentNumberScheduled": there, "numberReady": ready, "numberAvailable": ready,
                "numberUnavailable": wanted - ready, "updatedNumberScheduled": updated, "numberMisscheduled": 0,
                "observedGeneration": generation}  # fmt: skip
    available = {"type": "Available", "status": "True" if ready >= wanted else "False"}
    return {"replicas": there, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
            "unavailableReplicas": wanted - ready, "observedGeneration": generation, "conditions": [available]}  # fmt: skip
