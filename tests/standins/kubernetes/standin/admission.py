"""What the API server makes of a pod before it takes it: RuntimeClass, Pod Security, the priority of a class.

Sources: kubernetes/kubernetes plugin/pkg/admission/runtimeclass, staging/src/k8s.io/pod-security-admission/policy.
"""

from __future__ import annotations

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
