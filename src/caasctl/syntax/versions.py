"""Versions of Kubernetes, containerd and Cilium: which are maintained until when, and which go together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

Minor = tuple[int, int]

WRITTEN = date(2026, 11, 24)  # the day of these tables: what is newer than them is unknown, not wrong
# https://kubernetes.io/releases/: the end of life of each minor release
KUBERNETES_EOL: Mapping[Minor, date] = {
    (1, 31): date(2025, 11, 11),
    (1, 32): date(2026, 2, 28),
    (1, 33): date(2026, 6, 28),
    (1, 34): date(2026, 10, 27),
    (1, 35): date(2027, 2, 28),
    (1, 36): date(2027, 6, 28),
    (1, 37): date(2027, 10, 28),
}
FIRST_V1BETA4: Minor = (1, 31)  # kubernetes#125029; caasctl writes no older kind of kubeadm configuration
LAST_V1BETA3: Minor = (1, 36)  # kubernetes#136016: 1.37 removed it
OLDER_KUBELET = 3  # https://kubernetes.io/releases/version-skew-policy/: how many minors a kubelet may be behind
# cilium/cilium: the last three minors get patches; these are of November 2026
CILIUM_MAINTAINED: Mapping[Minor, str] = {(1, 18): "1.18.14", (1, 19): "1.19.11", (1, 20): "1.20.5"}
# containerd's RELEASES.md: when the support of a line ended
CONTAINERD_ENDED: Mapping[Minor, str] = {
    (1, 6): "2025-08-23",
    (1, 7): "September 2026",
    (2, 1): "2026-07-03",
    (2, 2): "2026-11-06",
}
# containerd's RELEASES.md: Kubernetes minor -> containerd line -> the first patch that is tested with it
CONTAINERD_TESTED: Mapping[Minor, Mapping[Minor, int]] = {
    (1, 32): {(1, 6): 36, (1, 7): 24, (2, 0): 1, (2, 1): 0},
    (1, 33): {(1, 6): 36, (1, 7): 24, (2, 0): 4, (2, 1): 0},
    (1, 34): {(1, 6): 39, (1, 7): 28, (2, 0): 6, (2, 1): 3},
    (1, 35): {(1, 7): 28, (2, 1): 5, (2, 2): 0},
    (1, 36): {(2, 2): 0, (2, 3): 0},
}
# https://helm.sh/docs/topics/version_skew/: the Kubernetes minor that a Helm was built for; it works with that and three older
HELM_BUILT_FOR: Mapping[Minor, Minor] = {
    (3, 16): (1, 31), (3, 17): (1, 32), (3, 18): (1, 33), (3, 19): (1, 34), (3, 20): (1, 35), (4, 0): (1, 34),
}  # fmt: skip
HELM_OLDER, HELM_NEWER = 3, 2  # of newer ones nothing is promised; that it works ends with the kinds that a chart is of
FIRST_CRICTL: Minor = (1, 27)  # cri-tools' README: one that is as new goes with every Kubernetes since
# kata-containers, versions.yaml of 4.1.0: externals.containerd, the least that it is tested with
KATA_NEEDS_CONTAINERD: tuple[Minor, Minor] = ((4, 0), (1, 7))
_NEEDS_CRI_V1: Minor = (1, 26)
_HAS_CRI_V1 = (1, 6, 0)
_NEEDS_RUNTIME_CONFIG: Minor = (1, 38)  # KEP-4033: the kubelet that no longer falls back to its own cgroupDriver
_HAS_RUNTIME_CONFIG = (2, 0, 0)


def containerd_cannot_run(containerd: tuple[int, int, int], kubernetes: Minor) -> str:
    """Why a kubelet of that minor does not work with that containerd, a sentence; "" where it does."""
    if kubernetes >= _NEEDS_CRI_V1 and containerd < _HAS_CRI_V1:
        return "this kubelet speaks CRI v1 only: unknown service runtime.v1.RuntimeService."
    if kubernetes >= _NEEDS_RUNTIME_CONFIG and containerd < _HAS_RUNTIME_CONFIG:
        return "the kubelet asks the runtime for its cgroup driver and has no fallback since 1.38; containerd 1.x cannot say."
    return ""


def containerd_doubts(containerd: tuple[int, int, int], kubernetes: Minor) -> str:
    """What speaks against a pair that should run, in clauses; "" for one that is tested and has support."""
    ended = CONTAINERD_ENDED.get(containerd[:2])
    support = f"support of containerd {text(containerd[:2])} ended ({ended})" if ended else ""
    return "; ".join(filter(None, (_untested(containerd, kubernetes), support)))


def _untested(containerd: tuple[int, int, int], kubernetes: Minor) -> str:
    tested, line = CONTAINERD_TESTED.get(kubernetes), text(containerd[:2])
    if tested is None:
        newest = max(CONTAINERD_TESTED[max(CONTAINERD_TESTED)])
        return "" if containerd[:2] == newest else "only containerd 2.3 is tested with a Kubernetes this new"
    first = tested.get(containerd[:2])
    if first is None:
        return f"containerd {line} is not tested with Kubernetes {text(kubernetes)}"
    return f"{line}.{first} is the first that is tested with it" if containerd[2] < first else ""


def minor(version: str) -> Minor | None:
    """(1, 36) of v1.36.4, 1.36 or 1.36.4-1.1; None where it is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def text(version: Minor) -> str:
    return f"{version[0]}.{version[1]}"


def behind(older: Minor, newer: Minor) -> int:
    """How many minors `older` is behind `newer`: negative where it is ahead."""
    return (newer[0] - older[0]) * 100 + newer[1] - older[1]
