"""Cilium's chart as far as a cluster of stand-ins sees it: what its values must be, and the objects that come of them.

Source: cilium/cilium install/kubernetes/cilium (values.yaml, values.schema.json, templates/{validate.yaml,cilium-configmap.yaml,
cilium-agent/daemonset.yaml,cilium-operator/deployment.yaml}); helm/helm pkg/action/validate.go (ownership labels).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from .client import Client

Object = dict[str, Any]
# In values.yaml as comments, so that the schema made of it does not have them; templates read them.
COMMENTED = frozenset(
    {"socketLB.hostNamespaceOnly", "ipv4NativeRoutingCIDR", "ipv6NativeRoutingCIDR", "k8sServiceLookupConfigMapName"}
)
SYSTEM = "/apis/apps/v1/namespaces/kube-system"


def merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


def misfits(schema: Object, value: Any, path: str = "") -> list[tuple[str, str]]:
    """(JSON pointer, words) of the values whose type or word the schema does not allow."""
    return list(_misfits(schema, value, path))


def _misfits(schema: Object, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if value is None:  # Helm takes null as: use the chart's own, so nothing is left to judge
        return
    for word in ("anyOf", "oneOf"):
        if word in schema and all(list(_misfits(one, value, path)) for one in schema[word]):
            yield path, f"'{word}' failed, none matched"
            return
    wanted = schema.get("type")
    choices = [wanted] if isinstance(wanted, str) else wanted
    if choices and not any(_fits(choice, value) for choice in choices):
        yield path, f"got {_kind(value)}, want {' or '.join(choices)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield path, f"value must be one of {', '.join(repr(one) for one in schema['enum'])}"
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _misfits(schema.get("properties", {}).get(key, {}), inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _misfits(schema.get("items", {}), inner, f"{path}/{index}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "number", float: "number", dict: "object", list: "array"}.get(type(value), "null")


def _fits(choice: str, value: Any) -> bool:
    if choice == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return _kind(value) == choice


def unknown(schema: Object, value: Any, path: str = "") -> list[str]:
    """Key paths that the chart does not have. An object without properties takes what the user wants: labels, annotations."""
    known = schema.get("properties")
    if not isinstance(value, dict) or known is None:
        return []
    found = []
    for key, inner in value.items():
        here = f"{path}.{key}" if path else key
        if key in known:
            found += unknown(known[key], inner, here)
        elif here not in COMMENTED:
            found.append(here)
    return found


def refuse(chart: Object, values: Object) -> str:
    """What templates/validate.yaml stops with."""
    replacement = values.get("kubeProxyReplacement", "false")
    if str(replacement).lower() not in ("true", "false"):
        return "kubeProxyReplacement must be explicitly set to a valid value (true or false) to continue."
    if values.get("routingMode") == "native" and not values.get("ipv4NativeRoutingCIDR"):
        return "ipv4NativeRoutingCIDR must be set when routingMode is native"
    name = values.get("cluster", {}).get("name", "default")
    if len(name) > 32:
        return "The cluster name is invalid: must not be more than 32 characters"
    if values.get("k8sServiceHostRef") and values.get("k8sServiceHost"):
        return "k8sServiceHostRef and k8sServiceHost cannot both be set"
    del chart
    return ""


def foreign(api: Client, release: str, namespace: str) -> bool:
    """Whether Cilium is there without being this release's."""
    found = api.find(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/cilium")
    if found is None:
        return False
    meta = found["metadata"]
    owned = meta.get("labels", {}).get("app.kubernetes.io/managed-by") == "Helm"
    return not (owned and meta.get("annotations", {}).get("meta.helm.sh/release-name") == release)


def config(values: Object, version: str) -> dict[str, str]:
    """cilium-config, as far as anything here reads it."""
    ipam = values.get("ipam", {}).get("operator", {})
    pool4, pool6 = (
        ipam.get("clusterPoolIPv4PodCIDRList", ["10.0.0.0/8"]),
        ipam.get("clusterPoolIPv6PodCIDRList", ["fd00::/104"]),
    )
    four, six = values.get("ipv4", {}).get("enabled", True), values.get("ipv6", {}).get("enabled", False)
    made = {"enable-ipv4": str(four).lower(), "enable-ipv6": str(six).lower(), "ipam": values.get("ipam", {}).get("mode", "cluster-pool"),
            "kube-proxy-replacement": str(values.get("kubeProxyReplacement", "false")).lower(),
            "routing-mode": values.get("routingMode") or "tunnel", "tunnel-protocol": values.get("tunnelProtocol") or "vxlan",
            "cilium-version": version}  # fmt: skip
    made |= {"cluster-pool-ipv4-cidr": " ".join(_listed(pool4)),
             "cluster-pool-ipv4-mask-size": str(ipam.get("clusterPoolIPv4MaskSize", 24))} if four else {}  # fmt: skip
    made |= {"cluster-pool-ipv6-cidr": " ".join(_listed(pool6)),
             "cluster-pool-ipv6-mask-size": str(ipam.get("clusterPoolIPv6MaskSize", 120))} if six else {}  # fmt: skip
    hosts_only = values.get("socketLB", {}).get("hostNamespaceOnly")
    return {**made, **({"bpf-lb-sock-hostns-only": str(hosts_only).lower()} if hosts_only is not None else {})}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def apply(api: Client, release: Object, *, half: bool = False) -> None:
    """Creates or changes the chart's objects; half: only what comes before the workloads."""
    values, version = release["config"], release["chart"]["metadata"]["version"]
    owner = {"labels": {"app.kubernetes.io/managed-by": "Helm"},
             "annotations": {"meta.helm.sh/release-name": release["name"], "meta.helm.sh/release-namespace": release["namespace"]}}  # fmt: skip
    api.put(
        "/api/v1/namespaces/kube-system/configmaps",
        {"metadata": {"name": "cilium-config", **owner}, "data": config(values, version)},
    )
    if half:
        return
    for name in ("ciliumnodes", "ciliumendpoints"):  # the operator's doing
        api.put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"metadata": {"name": f"{name}.cilium.io"}})
    digest = hashlib.sha256(json.dumps([values, version], sort_keys=True).encode()).hexdigest()
    environment = [{"name": f"KUBERNETES_SERVICE_{word.upper()}", "value": str(values[f"k8sService{word}"])}
                   for word in ("Host", "Port") if values.get(f"k8sService{word}")]  # fmt: skip
    _workload(api, owner, "daemonsets", "cilium", f"quay.io/cilium/cilium:v{version}", digest, environment, None)
    replicas = values.get("operator", {}).get("replicas", 2)
    _workload(
        api,
        owner,
        "deployments",
        "cilium-operator",
        f"quay.io/cilium/operator-generic:v{version}",
        digest,
        environment,
        replicas,
    )
    if values.get("envoy", {}).get("enabled") is not False:
        _workload(
            api, owner, "daemonsets", "cilium-envoy", "quay.io/cilium/cilium-envoy:v1.35", digest, environment, None
        )


def _workload(
    api: Client,
    owner: Object,
    kind: str,
    name: str,
    image: str,
    digest: str,
    environment: list[Object],
    replicas: int | None,
) -> None:
    labels = {"k8s-app": name} if name != "cilium-operator" else {"io.cilium/app": "operator", "name": name}
    spec = {"containers": [{"name": name if name != "cilium" else "cilium-agent", "image": image, "env": environment}], "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}]}  # fmt: skip
    template = {"metadata": {"labels": labels, "annotations": {"standin/values": digest}}, "spec": spec}
    meta = {**owner, "name": name, "namespace": "kube-system", "labels": {**owner["labels"], **labels}}
    whole = {
        "selector": {"matchLabels": labels},
        "template": template,
        **({"replicas": replicas} if replicas is not None else {}),
    }
    if kind == "daemonsets":
        whole["updateStrategy"] = {"type": "RollingUpdate"}
    path = f"{SYSTEM}/{kind}/{name}"
    if api.find(path):
        api.merge(path, {"metadata": {**owner}, "spec": whole})
    else:
        api.put(f"{SYSTEM}/{kind}", {"metadata": meta, "spec": whole})


def remove(api: Client, namespace: str) -> None:
    for path in (f"{SYSTEM}/daemonsets/cilium", f"{SYSTEM}/daemonsets/cilium-envoy", f"{SYSTEM}/deployments/cilium-operator",
                 f"/api/v1/namespaces/{namespace}/configmaps/cilium-config"):  # fmt: skip
        api.delete(path)
