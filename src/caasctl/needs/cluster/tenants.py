"""A template for a tenant's namespace: nothing in, nothing out, but names, its own pods and the world outside."""

from __future__ import annotations

from typing import Any

from caasctl.syntax.cluster.names import OURS

# Private, shared, link-local (a cloud's metadata service is there) and reserved: the nodes' side of the world.
_NOT_OUTSIDE = {
    "0.0.0.0/0": ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
    "::/0": ["fc00::/7", "fe80::/10"],
}
_NAMES = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
          "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}  # fmt: skip


def tenant_policies() -> tuple[dict[str, Any], ...]:
    """Without a namespace: `kubectl -n NAMESPACE apply -f` gives them one. Each but the first may be left away."""
    return (
        _policy("default-deny", {"policyTypes": ["Ingress", "Egress"]}),
        _policy("allow-names", {"policyTypes": ["Egress"], "egress": [{"to": [_NAMES], "ports": _ports(53)}]}),
        _policy("allow-same-namespace", {"policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [_anyone()]}],
                                         "egress": [{"to": [_anyone()]}]}),
        _policy("allow-outside", {"policyTypes": ["Egress"], "egress": [{"to": _outside()}]}),
    )  # fmt: skip


def _policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": dict(OURS)},
        "spec": {"podSelector": {}, **spec},
    }


def _ports(number: int) -> list[dict[str, Any]]:
    return [{"protocol": protocol, "port": number} for protocol in ("UDP", "TCP")]


def _anyone() -> dict[str, Any]:
    """Every pod of the policy's own namespace."""
    return {"podSelector": {}}


def _outside() -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": every, "except": list(ours)}} for every, ours in _NOT_OUTSIDE.items()]
