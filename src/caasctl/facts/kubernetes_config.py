"""The kubeadm configuration that caasctl wrote for this node's cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass

from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

KUBEADM_FILE = "/etc/kubernetes/caasctl/kubeadm.yaml"


@dataclass(frozen=True)
class KubeadmFile:
    """documents: (apiVersion, kind) of each document in /etc/kubernetes/caasctl/kubeadm.yaml. text: all of it, "" for none."""

    documents: tuple[tuple[str, str], ...] = ()
    text: str = ""


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
    documents = parse_documents(text)
    if not documents:
        raise Unreadable(KUBEADM_FILE, "holds no kubeadm configuration")
    return KubeadmFile(documents, text)


PROBES: tuple[Probe, ...] = (Probe(KubeadmFile, read_kubeadm_file),)
