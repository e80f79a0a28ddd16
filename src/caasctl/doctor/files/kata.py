"""A configuration of Kata's, judged as its hypervisor's handler would run on it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from caasctl.doctor.files.kind import Kind, World
from caasctl.facts.given import KATA, Given, table
from caasctl.profile import GPU_HANDLER, NodeProfile

_FOLDER = "/opt/kata/share/defaults/kata-containers"
_SHIM = "/opt/kata/bin/containerd-shim-kata-v2"


def _known(data: Any) -> bool:
    return bool(table(data, "hypervisor")) or ("agent" in table(data) and "runtime" in table(data))


def handler(given: Given) -> str:
    """kata-clh, kata-qemu-nvidia-gpu or kata-qemu: by the hypervisor and by what the file says of NVIDIA."""
    hypervisors = table(given.documents[0].data, "hypervisor") if given.documents else {}
    if "clh" in hypervisors or "cloud-hypervisor" in hypervisors:
        return "kata-clh"
    return GPU_HANDLER if "nvidia" in given.text.lower() else "kata-qemu"


def _places(given: Given) -> dict[str, str]:
    name = handler(given).removeprefix("kata-")
    return {f"{_FOLDER}/runtimes/{name}/configuration-{name}.toml": given.text}


def _wanted(profile: NodeProfile, given: Given) -> NodeProfile:
    names: Any = ("runc", handler(given))
    return replace(profile, spec=replace(profile.spec, runtimes=names))


KIND = Kind(
    KATA,
    _known,
    re.compile(r"^\s*\[\s*hypervisor\s*\.", re.MULTILINE),
    places=_places,
    worlds=lambda given: (World(_places(given), (_SHIM,)),),
    checks=("kata.annotations",),
    profile=_wanted,
)
