"""kubeadm's configuration, with the kubelet's and kube-proxy's that may stand in the same file or alone."""

from __future__ import annotations

import re
from typing import Any

from caasctl.doctor.files.kind import Kind
from caasctl.facts.given import KUBEADM, text

_GROUPS = ("kubeadm.k8s.io/", "kubelet.config.k8s.io/", "kubeproxy.config.k8s.io/")
_KINDS = ("ClusterConfiguration", "InitConfiguration", "JoinConfiguration", "KubeletConfiguration", "KubeProxyConfiguration",
          "ResetConfiguration", "UpgradeConfiguration")  # fmt: skip


def _known(data: Any) -> bool:
    return text(data, "apiVersion").startswith(_GROUPS) or text(data, "kind") in _KINDS


KIND = Kind(
    KUBEADM,
    _known,
    re.compile("|".join((*map(re.escape, _GROUPS), *(rf"^kind:\s*{one}\b" for one in _KINDS))), re.MULTILINE),
)
