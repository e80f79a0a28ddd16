"""The kubeadm configuration that caasctl wrote for this node's cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

KUBEADM_FILE = "/etc/kubernetes/caasctl/kubeadm.yaml"


@dataclass(frozen=True)
class KubeadmFile:
    """data: the documents in /etc/kubernetes/caasctl/kubeadm.yaml, () where there is none."""

    data: tuple[Mapping[str, Any], ...] = ()

    @property
    def documents(self) -> tuple[tuple[str, str], ...]:
        """(apiVersion, kind) of each."""
        return tuple((str(one.get("apiVersion", "")), str(one["kind"])) for one in self.data)


def parse(text: str) -> tuple[Mapping[str, Any], ...]:
    """The documents of a YAML text that name a kind. Raises Unreadable."""
    try:
        parts = [formats.parse_yaml(part, KUBEADM_FILE) for part in re.split(r"^---.*$", text, flags=re.MULTILINE)]
    except formats.FormatError as error:
        raise Unreadable(KUBEADM_FILE, error.problem.removeprefix(f"{KUBEADM_FILE} ")) from error
    return tuple(part for part in parts if isinstance(part, dict) and "kind" in part)


def parse_documents(text: str) -> tuple[tuple[str, str], ...]:
    """(apiVersion, kind) of each document of a YAML text that names a kind."""
    found = []
    for document in re.split(r"^---.*$", text, flags=re.MULTILINE):
        told = dict(re.findall(r"^(apiVersion|kind):\s*[\"']?([^\s\"'#]+)", document, re.MULTILINE))
        if "kind" in told:
            found.append((told.get("apiVersion", ""), told["kind"]))
    return tuple(found)


def read_kubeadm_file(host: Reader) -> KubeadmFile:
    text = host.read(KUBEADM_FILE)
    if text is None:
        return KubeadmFile()
    data = parse(text)
    if not data:
        raise Unreadable(KUBEADM_FILE, "holds no kubeadm configuration")
    return KubeadmFile(data)


PROBES: tuple[Probe, ...] = (Probe(KubeadmFile, read_kubeadm_file),)
