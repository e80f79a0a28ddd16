"""RuntimeClasses: one for each Kata handler in effect, called as the handler is."""

from __future__ import annotations

from typing import Any

from caasctl.syntax.cluster.names import OURS, label

# Kata's own (tools/packaging/kata-deploy/helm-chart, runtimeclasses.yaml, 4.1.0), as the API server writes quantities.
_OVERHEAD = {
    "kata-qemu": {"memory": "320Mi", "cpu": "250m"},
    "kata-clh": {"memory": "130Mi", "cpu": "250m"},
    "kata-qemu-nvidia-gpu": {"memory": "10Gi", "cpu": "1"},
}


def runtime_classes(handlers: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Pods of a class go to nodes with its handler's label only, which phase cluster puts on each node."""
    return tuple(_runtime_class(handler) for handler in handlers)


def _runtime_class(handler: str) -> dict[str, Any]:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": handler, "labels": dict(OURS)},
        "handler": handler,
        "overhead": {"podFixed": dict(_OVERHEAD[handler])},
        "scheduling": {"nodeSelector": {label(handler): "true"}},
    }
