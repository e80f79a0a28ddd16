"""A CDI specification, judged as CDI's library and Kata's copy of it read it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from caasctl.doctor.files.kind import Kind, World
from caasctl.facts.given import CDI, Given
from caasctl.profile import GPU_HANDLER, NodeProfile


def _known(data: Any) -> bool:
    return isinstance(data, dict) and ("cdiVersion" in data or {"kind", "devices", "containerEdits"} <= set(data))


def _places(given: Given) -> dict[str, str]:
    """Under its own name where a reader of CDI would take that."""
    name = given.name.rpartition("/")[2]
    if not name.endswith((".json", ".yaml")):
        name = "given.json" if given.text.lstrip().startswith("{") else "given.yaml"
    return {f"/etc/cdi/{name}": given.text}


def _wanted(profile: NodeProfile, _given: Given) -> NodeProfile:
    names: Any = tuple(dict.fromkeys((*profile.spec.runtimes, GPU_HANDLER)))
    gpu = replace(profile.spec.gpu, passthrough="required")
    return replace(profile, spec=replace(profile.spec, runtimes=names, gpu=gpu))


KIND = Kind(
    CDI,
    _known,
    re.compile(r"\bcdiVersion\b"),
    places=_places,
    worlds=lambda given: (World(_places(given)),),
    checks=("cdi.parses", "cdi.version"),
    profile=_wanted,
)
