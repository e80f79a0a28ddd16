"""What an upgrade must know of versions beyond those that are maintained: patches, container runtimes, Cilium, what was removed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from caasctl.syntax.versions import Minor

WRITTEN = date(2026, 11, 26)  # what is newer than this table is unknown, not wrong
# https://kubernetes.io/releases/: the newest patch of each minor that was known that day; of others the repository knows it
NEWEST: Mapping[Minor, str] = {(1, 35): "1.35.9", (1, 36): "1.36.5", (1, 37): "1.37.1"}
# containerd RELEASES.md, Kubernetes support: the first minor that is not tested with a containerd of that major any more
NEEDS_CONTAINERD_2: Minor = (1, 36)
CONTAINERD_2 = "2.3"  # its long-term line, until 2028-04-30
# KEP-5573, kubernetes#134298: from then on the kubelet does not start on cgroup v1
NEEDS_CGROUP_V2: Minor = (1, 35)
# cilium Documentation/network/kubernetes/compatibility.rst of 1.18.14: the last Kubernetes that it is tested with; 1.19's and 1.20's
# lists are not in this table
CILIUM_LAST_TESTED: Mapping[Minor, Minor] = {(1, 18): (1, 33)}
# cilium Documentation/operations/system_requirements.rst: the oldest kernel; RHEL 8.10's 4.18 counts as new enough
CILIUM_KERNEL: Mapping[Minor, tuple[int, int]] = {
    (1, 16): (5, 4),
    (1, 17): (5, 4),
    (1, 18): (5, 10),
    (1, 19): (5, 10),
    (1, 20): (5, 10),
}
# The first version whose kubelet stops at the flag. kubernetes: CHANGELOG 1.24 (#106907 and others: dockershim's), 1.27 (#114017),
# 1.31 (#122082), 1.35 (#133779), 1.37 (#139870: cAdvisor's)
REMOVED_FLAGS: Mapping[str, Minor] = {
    **dict.fromkeys(
        ("network-plugin", "network-plugin-mtu", "cni-bin-dir", "cni-conf-dir", "cni-cache-dir", "docker-endpoint",
         "experimental-dockershim-root-directory", "image-pull-progress-deadline"), (1, 24)),
    "container-runtime": (1, 27),
    "keep-terminated-pod-volumes": (1, 31),
    "pod-infra-container-image": (1, 35),
    **dict.fromkeys(
        ("application-metrics-count-limit", "boot-id-file", "container-hints", "containerd", "containerd-namespace", "enable-load-reader",
         "event-storage-age-limit", "event-storage-event-limit", "global-housekeeping-interval", "log-cadvisor-usage", "machine-id-file",
         "storage-driver-user", "storage-driver-password", "storage-driver-host", "storage-driver-db", "storage-driver-table",
         "storage-driver-secure", "storage-driver-buffer-duration"), (1, 37)),
}  # fmt: skip
# kubernetes#136016 and CHANGELOG-1.37: the first kubeadm that does not know the gate
REMOVED_KUBEADM_GATES: Mapping[str, Minor] = {"PublicKeysECDSA": (1, 37), "NodeLocalCRISocket": (1, 37)}


def newest(minor: Minor) -> str:
    """As 1.36.5; "" where the table does not know it."""
    return NEWEST.get(minor, "")
