"""A kubeconfig."""

from __future__ import annotations

import re
from typing import Any

from caasctl.doctor.files.kind import Kind
from caasctl.facts.given import KUBECONFIG, get, text


def _known(data: Any) -> bool:
    return text(data, "kind") == "Config" or (
        isinstance(get(data, "clusters"), list) and isinstance(get(data, "users"), list)
    )


KIND = Kind(KUBECONFIG, _known, re.compile(r"^(?:kind:\s*Config\b|current-context:)", re.MULTILINE))
