"""Which programs the phase packages would install on this host: what is there, from whatever source, stays."""

from __future__ import annotations

from caasctl.facts.containerd import ContainerdBinaries, RuncBinaries
from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import Facts
from caasctl.profile import NodeProfile

READS: tuple[type, ...] = (ContainerdBinaries, RuncBinaries, Tools)  # for the `reads` of who asks
_TOOLS = {"kubelet": "kubelet", "kubeadm": "kubeadm", "kubectl": "kubectl", "crictl": "cri-tools"}


def installs(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """Names of packages; empty where nothing is to be installed."""
    if profile.spec.packages.install == "off":
        return ()
    containerd, runc, tools = facts[ContainerdBinaries], facts[RuncBinaries], facts[Tools]
    there = {"containerd": containerd.paths, "runc": runc.paths}
    missing = (name for name, paths in there.items() if not paths)
    return (*missing, *(package for program, package in _TOOLS.items() if program not in tools.paths))
