"""What the controller manager and the scheduler do in a cluster of stand-ins: pods of daemon sets and deployments, node ranges.

Source: kubernetes/kubernetes pkg/controller/{nodeipam,daemon,deployment}, as far as `kubectl get` shows it.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
from typing import Any

from .client import ApiError, Client
from .pki import openssl

Object = dict[str, Any]
APPS = "/apis/apps/v1"
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
            self._collect(pods)
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
        fits = [node for node in nodes if _tolerated(node, template["spec"])]
        wanted = len(nodes) if kind == "daemonsets" else owner["spec"].get("replicas", 1)
        for _ in range(wanted - len(mine)):
            self._pod(owner, fits)
        for pod in mine:
            if not pod["spec"].get("nodeName") and fits:
                self._api.merge(_path(pod), {"spec": {"nodeName": fits[0]["metadata"]["name"]}})
        stale = [
            pod
            for pod in mine
            if pod["metadata"].get("annotations", {}).get("standin/generation") != _generation(owner)
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
    annotations: Object = owner["spec"]["template"]["metadata"].get("annotations", {})
    return str(annotations.get("standin/values", ""))


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
