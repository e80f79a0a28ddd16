"""Versions of Kubernetes and Cilium: which are maintained until when, and which go together."""

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


def minor(version: str) -> Minor | None:
    """(1, 36) of v1.36.4, 1.36 or 1.36.4-1.1; None where it is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def text(version: Minor) -> str:
    return f"{version[0]}.{version[1]}"


def behind(older: Minor, newer: Minor) -> int:
    """How many minors `older` is behind `newer`: negative where it is ahead."""
    return (newer[0] - older[0]) * 100 + newer[1] - older[1]
