"""What a kubelet says of its node: ready or not, and what is short on it.

Sources: kubernetes/kubernetes pkg/kubelet/nodestatus/setters.go (reasons and words), pkg/kubelet/apis/config/v1beta1/defaults_linux.go
(evictionHard), pkg/kubelet/eviction/helpers.go (thresholds in per cent).
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

from .store import now

Object = dict[str, Any]
HARD = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


def conditions(config: Object, old: list[Object], runtime: str) -> list[Object]:
    """runtime: why the container runtime does not answer. A condition keeps the time of its last change."""
    hard = {**HARD, **config.get("evictionHard", {})}
    cni = list(Path("/etc/cni/net.d").glob("*.conf*"))
    said = f"container runtime is down, {runtime}" if runtime else "" if cni else NOT_READY
    made = [
        _one("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        _one("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure") if _short(hard) else
        _one("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        _one("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        _one("Ready", "False", "KubeletNotReady", said) if said else _one("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]  # fmt: skip
    before = {one["type"]: one for one in old}
    for one in made:
        was = before.get(one["type"], {})
        one["lastTransitionTime"] = (
            was["lastTransitionTime"] if was.get("status") == one["status"] and "lastTransitionTime" in was else now()
        )
    return made


def _one(kind: str, value: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": value, "reason": reason, "message": message}


def _short(hard: Object) -> bool:
    """Whether the disk of the kubelet or of the images is below a threshold."""
    for kind, path in (("nodefs", "/var/lib/kubelet"), ("imagefs", "/var/lib/containerd")):
        if not os.path.isdir(path):
            continue
        disk = os.statvfs(path)
        if disk.f_bavail * disk.f_frsize < _threshold(hard[f"{kind}.available"], disk.f_blocks * disk.f_frsize):
            return True
        if disk.f_files and disk.f_favail < _threshold(hard[f"{kind}.inodesFree"], disk.f_files):
            return True
    return False


def _threshold(text: str, whole: int) -> float:
    if text.endswith("%"):
        return whole * float(text[:-1]) / 100
    return float(text[:-2]) * _UNITS[text[-2:]] if text[-2:] in _UNITS else float(text)


def taints(old: list[Object], now_: list[Object]) -> list[Object]:
    """With those of the node's conditions: pkg/controller/nodelifecycle."""
    value = {one["type"]: one["status"] for one in now_}
    wanted = {
        "node.kubernetes.io/not-ready": value["Ready"] != "True",
        "node.kubernetes.io/disk-pressure": value["DiskPressure"] == "True",
    }
    kept = [one for one in old if wanted.get(one["key"], True)]
    there = {one["key"] for one in kept}
    return kept + [{"key": key, "effect": "NoSchedule"} for key, on in wanted.items() if on and key not in there]


def address(pod: Object, node: Object) -> Object:
    """podIP and hostIP: of its host, or one of the node's range; without a range it has none."""
    host = next(
        (one["address"] for one in node.get("status", {}).get("addresses", ()) if one["type"] == "InternalIP"), ""
    )
    ip = host if pod["spec"].get("hostNetwork") else _of_range(node["spec"].get("podCIDR", ""), pod["metadata"]["uid"])
    return {"hostIP": host, **({"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {})}


def _of_range(text: str, uid: str) -> str:
    if not text:
        return ""
    network = ipaddress.ip_network(text)
    return str(network[10 + int(uid[:8], 16) % (min(network.num_addresses, 65536) - 12)])
