"""Endpoint slices: of each service that selects pods, where those are.

Source: kubernetes/kubernetes pkg/controller/endpointslice, staging/src/k8s.io/endpointslice/utils.go (podToEndpoint: ready, serving, terminating).
"""

from __future__ import annotations

from typing import Any

from .client import Client

Object = dict[str, Any]
FOLDER = "/apis/discovery.k8s.io/v1"


def tend(api: Client, pods: list[Object]) -> None:
    """One slice for each service; one of a service that is gone goes."""
    services = {_key(one): one for one in api.list("/api/v1/services") if one["spec"].get("selector")}
    there = {
        key: one
        for one in api.list(f"{FOLDER}/endpointslices")
        if (key := _service_of(one)) != ("default", "kubernetes")
    }
    for key in set(there) - set(services):
        api.delete(f"{FOLDER}/namespaces/{key[0]}/endpointslices/{there[key]['metadata']['name']}")
    for key, service in services.items():
        wanted = _slice(service, pods)
        old = there.get(key)
        if old is None:
            api.put(f"{FOLDER}/namespaces/{key[0]}/endpointslices", wanted)
        elif (old.get("endpoints"), old.get("ports")) != (wanted["endpoints"], wanted["ports"]):
            path = f"{FOLDER}/namespaces/{key[0]}/endpointslices/{old['metadata']['name']}"
            api.merge(path, {"endpoints": wanted["endpoints"], "ports": wanted["ports"]})


def _key(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]


def _service_of(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")


def _slice(service: Object, pods: list[Object]) -> Object:
    namespace, name = _key(service)
    selector = service["spec"]["selector"].items()
    behind = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and pod.get("status", {}).get("podIP")
        and all(pod["metadata"].get("labels", {}).get(key) == value for key, value in selector)
    ]
    ports = [{"name": port.get("name", ""), "port": port.get("targetPort", port["port"]), "protocol": port.get("protocol", "TCP")}
             for port in service["spec"].get("ports", ())]  # fmt: skip
    six = any(":" in pod["status"]["podIP"] for pod in behind)
    return {"metadata": {"name": f"{name}-standin", "namespace": namespace, "labels": {
                "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            "addressType": "IPv6" if six else "IPv4", "endpoints": [_endpoint(pod) for pod in behind], "ports": ports}  # fmt: skip


def _endpoint(pod: Object) -> Object:
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
    about = {
        "kind": "Pod",
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }
    return {"addresses": [pod["status"]["podIP"]], "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "nodeName": pod["spec"].get("nodeName", ""), "targetRef": about}  # fmt: skip
