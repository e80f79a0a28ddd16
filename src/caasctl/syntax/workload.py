"""Kubernetes objects as files hold them: the pods that they are, make, or list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from caasctl.frozen import dataclass

Path = tuple[Any, ...]
# Where the pod's own description stands in each kind.
_TEMPLATES: dict[str, Path] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
    **dict.fromkeys(("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "ReplicationController"), ("spec", "template")),
}  # fmt: skip
# Device plugins that pass whole functions to a guest; nvidia.com/gpu is of the driver's plugin, for containers on the host.
_PASSED = re.compile(r"[\w.-]+/(?:pgpu|[\w.-]*(?:GPU|GH|GA|AD|GB|TU|GV|H[12]00|A100|A10|L40|B[123]00)[\w.-]*)")
_OF_DRIVER = ("nvidia.com/gpu",)
_CDI = "cdi.k8s.io/"


@dataclass(frozen=True)
class Pod:
    """name: kind and name. path: where its metadata and spec are. data: of the pod. limits: resource -> (path, amount)."""

    name: str
    path: Path
    data: dict[str, Any]

    @property
    def annotations(self) -> dict[str, str]:
        found = _table(self.data, "metadata", "annotations")
        return {str(key): str(value) for key, value in found.items()}

    @property
    def spec(self) -> dict[str, Any]:
        return _table(self.data, "spec")

    @property
    def runtime_class(self) -> str:
        said = self.spec.get("runtimeClassName")
        return said if isinstance(said, str) else ""

    def containers(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for key in ("initContainers", "containers", "ephemeralContainers"):
            found = self.spec.get(key)
            for at, one in enumerate(found if isinstance(found, list) else ()):
                if isinstance(one, dict):
                    yield (*self.path, "spec", key, at), one

    def resources(self) -> Iterator[tuple[Path, str, str]]:
        """(path, resource, amount) of limits, and of requests that no limit repeats."""
        for path, container in self.containers():
            limits, requests = (_table(container, "resources", word) for word in ("limits", "requests"))
            for word, found in (
                ("limits", limits),
                ("requests", {k: v for k, v in requests.items() if k not in limits}),
            ):
                yield from (
                    ((*path, "resources", word, name), str(name), str(amount)) for name, amount in found.items()
                )

    def gpus(self) -> Iterator[tuple[Path, str]]:
        """GPUs asked for as resources that a device plugin hands out whole."""
        for path, name, amount in self.resources():
            if amount != "0" and "limits" in path and is_gpu(name):
                yield path, name

    def cdi(self) -> Iterator[tuple[Path, str, str]]:
        """Annotations that inject CDI devices: (path, key, devices)."""
        for key, value in self.annotations.items():
            if key.startswith(_CDI):
                yield (*self.path, "metadata", "annotations", key), key, value


def is_gpu(resource: str) -> bool:
    return resource not in _OF_DRIVER and _PASSED.fullmatch(resource) is not None


def pods(data: Any) -> Iterator[Pod]:
    """Of one document, lists entered."""
    for path, one in objects(data):
        kind = str(one.get("kind"))
        if kind in _TEMPLATES:
            below = _TEMPLATES[kind]
            named = (
                _table(one, "metadata").get("name") or _table(one, "metadata").get("generateName") or "without a name"
            )
            yield Pod(f"{kind} {named}", (*path, *below), _table(one, *below))


def objects(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    listed = data.get("items") if isinstance(data, dict) else None
    if isinstance(listed, list):
        yield from ((("items", at), one) for at, one in enumerate(listed) if isinstance(one, dict))
    elif isinstance(data, dict):
        yield (), data


def _table(data: Any, *path: Any) -> dict[str, Any]:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}
