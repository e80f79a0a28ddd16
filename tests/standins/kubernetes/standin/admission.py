"""What the API server makes of a pod before it takes it: RuntimeClass, Pod Security, the priority of a class; and addresses of services.

Sources: kubernetes/kubernetes plugin/pkg/admission/runtimeclass, staging/src/k8s.io/pod-security-admission/policy,
pkg/registry/core/service/{ipallocator,storage} (the words of an address that is refused).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from .store import Place, Refusal, Store

Object = dict[str, Any]
_ENFORCE = "pod-security.kubernetes.io/enforce"


def admitted(store: Store, where: Place, body: Object) -> Object:
    if where.resource != "pods" or "kubernetes.io/config.mirror" in body["metadata"].get("annotations", {}):
        return body
    name = f'pods "{body["metadata"]["name"]}"'
    space = store.objects.get(Place("v1", "namespaces", "", where.namespace), {})
    if space.get("metadata", {}).get("labels", {}).get(_ENFORCE) == "restricted":
        wrong = list(_restricted(body["spec"]))
        if wrong:
            raise Refusal(
                403, "Forbidden", f'{name} is forbidden: violates PodSecurity "restricted:latest": {", ".join(wrong)}'
            )
    body.setdefault("status", {"phase": "Pending"})
    wanted = body["spec"].get("runtimeClassName")
    if not wanted:
        return body
    found = store.objects.get(Place("node.k8s.io/v1", "runtimeclasses", "", wanted))
    if found is None:
        raise Refusal(403, "Forbidden", f'{name} is forbidden: pod rejected: RuntimeClass "{wanted}" not found')
    selector = {**body["spec"].get("nodeSelector", {}), **found.get("scheduling", {}).get("nodeSelector", {})}
    body["spec"] |= {"overhead": found.get("overhead", {}).get("podFixed", {}), "nodeSelector": selector}
    return body


def addressed(store: Store, where: Place, body: Object, ranges: str) -> Object:
    """A service with its address: the one that it asks for where that is free and in the range, else the next free one."""
    if (
        where.resource != "services"
        or body["spec"].get("type") == "ExternalName"
        or body["spec"].get("clusterIP") == "None"
    ):
        return body
    taken = {one["spec"].get("clusterIP") for one in store.listed("v1", "services", "")}
    network = ipaddress.ip_network(ranges.split(",", maxsplit=1)[0])
    asked = body["spec"].get("clusterIP")
    refused = f'Service "{body["metadata"]["name"]}" is invalid: spec.clusterIPs: Invalid value: ["{asked}"]: failed to allocate IP {asked}: '
    if asked and ipaddress.ip_address(asked) not in network:
        raise Refusal(422, "Invalid", f"{refused}the provided IP is not in the valid range")
    if asked and asked in taken:
        raise Refusal(422, "Invalid", f"{refused}provided IP is already allocated")
    # The upper part first: what has a fixed address has it in the lower one.
    free = asked or next(
        str(ip) for ip in (network[index] for index in range(256, network.num_addresses - 1)) if str(ip) not in taken
    )
    body["spec"] |= {"clusterIP": free, "clusterIPs": [free], "type": body["spec"].get("type", "ClusterIP")}
    return body


def _restricted(spec: Object) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"host namespaces ({key}=true)"
    pod = spec.get("securityContext", {})
    for each in spec["containers"]:
        own, name = each.get("securityContext", {}), each["name"]
        if own.get("privileged"):
            yield f'privileged (container "{name}" must not set securityContext.privileged=true)'
        if own.get("allowPrivilegeEscalation") is not False:
            yield f'allowPrivilegeEscalation != false (container "{name}" must set securityContext.allowPrivilegeEscalation=false)'
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f'unrestricted capabilities (container "{name}" must set securityContext.capabilities.drop=["ALL"])'
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
            yield f'runAsNonRoot != true (pod or container "{name}" must set securityContext.runAsNonRoot=true)'
        profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            yield f'seccompProfile (pod or container "{name}" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    if any(set(volume) & {"hostPath"} for volume in spec.get("volumes", ())):
        yield 'restricted volume types (volume uses restricted volume type "hostPath")'
