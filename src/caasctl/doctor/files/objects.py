"""Pods, what makes pods, and RuntimeClasses, as kubectl takes and prints them."""

from __future__ import annotations

import re
from typing import Any

from caasctl.doctor.files.kind import Kind
from caasctl.facts.given import OBJECTS, items, text

_KINDS = ("Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "RuntimeClass", "PodTemplate",
          "ReplicationController")  # fmt: skip


def _known(data: Any) -> bool:
    return text(data, "kind") in _KINDS or any(text(one, "kind") in _KINDS for one in items(data, "items"))


KIND = Kind(OBJECTS, _known, re.compile(rf"^\s*\"?kind\"?:\s*\"?(?:{'|'.join(_KINDS)})\b", re.MULTILINE))
