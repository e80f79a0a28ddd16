"""What the cluster has of this node: the labels and resources by which others offer NVIDIA's GPUs, or once did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.kubectl import answer
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.cluster.names import PLUGIN_DOMAIN
from caasctl.syntax.kubeadm import KUBELET_CONF

_FIELDS = '{.metadata.labels}{"\\n"}{.status.capacity}'


@dataclass(frozen=True)
class GpuNode:
    """name: of the node. labels, capacity: those below nvidia.com; capacity as the API has it, `4`. asked: there was an answer."""

    asked: bool = False
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)


def question(name: str) -> tuple[str, ...]:
    """As its kubelet, which may see itself, on workers too."""
    return ("kubectl", "--kubeconfig", KUBELET_CONF, "--request-timeout=6s", "get", "node", name, "-o", f"jsonpath={_FIELDS}")  # fmt: skip


def parse(name: str, text: str) -> GpuNode:
    """Of the answer, a JSON object a line. Raises Unreadable."""
    try:
        labels, capacity = (json.loads(line) for line in text.splitlines())
        return GpuNode(True, name, _of_nvidia(labels), _of_nvidia(capacity))
    except (ValueError, AttributeError) as error:
        raise Unreadable(f"node {name}", "kubectl printed no labels and resources") from error


def _of_nvidia(every: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in every.items() if key.startswith(f"{PLUGIN_DOMAIN}/")}


def read_node(host: Reader) -> GpuNode:
    """Asks only where this is a node; a silent API server is no answer. Raises Unreadable."""
    name = (host.read("/proc/sys/kernel/hostname") or "").strip().lower()
    said = answer(host, question(name), KUBELET_CONF)
    return GpuNode() if said is None else parse(name, said)


PROBES: tuple[Probe, ...] = (Probe(GpuNode, read_node),)
