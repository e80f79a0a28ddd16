"""The control plane that this node runs: images and arguments of its static pods, and how far a cluster has come."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

FOLDER = "/etc/kubernetes/manifests"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_TAG = re.compile(r":v?([0-9][\w.+-]*?)(?:@sha256:[0-9a-f]+)?$")


@dataclass(frozen=True)
class ControlPlane:
    """Static pods of kubeadm. arguments: component -> argument without `--` -> value, the last one where it is repeated.

    versions: component -> tag of its image without v, as 1.36.4. Components whose manifest is not there are not in it.
    """

    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether kubeadm wrote all manifests: it does so before it waits for the components."""
        return set(COMPONENTS[1:]) <= self.arguments.keys()

    @property
    def pods(self) -> str:
        """The live range of pods, "" where no control plane is here or it allocates none."""
        return self.arguments.get("kube-controller-manager", {}).get("cluster-cidr", "")

    @property
    def services(self) -> str:
        """The live range of services, "" where no control plane is here."""
        return self.arguments.get("kube-apiserver", {}).get("service-cluster-ip-range", "")


def parse_manifest(text: str, path: str) -> tuple[dict[str, str], str]:
    """(arguments, image tag) of a static pod's first container. Raises Unreadable."""
    try:
        pod: Any = formats.parse_yaml(text, path)
        container = pod["spec"]["containers"][0]
        words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    except (formats.FormatError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Unreadable(path, "is no manifest of a static pod") from error
    tag = _TAG.search(str(container.get("image", "")))
    return dict(_arguments(words)), tag[1] if tag else ""


def _arguments(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            yield name, value if equals else "true"


def read_control_plane(host: Reader) -> ControlPlane:
    arguments, versions = {}, {}
    for component in COMPONENTS:
        path = f"{FOLDER}/{component}.yaml"
        text = host.read(path)
        if text is not None:
            arguments[component], versions[component] = parse_manifest(text, path)
    return ControlPlane(arguments, versions)


PROBES: tuple[Probe, ...] = (Probe(ControlPlane, read_control_plane),)
