"""Values for Cilium's chart, judged as spec.cilium.values of a profile would be."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from caasctl.doctor.files.kind import Kind, World
from caasctl.facts.given import CILIUM, Given, table
from caasctl.profile import NodeProfile

# Keys of values.yaml that no other program's file has; one is enough.
_OWN = ("kubeProxyReplacement", "hubble", "ipam", "k8sServiceHost", "routingMode", "tunnelProtocol", "bpf", "socketLB",
        "ipv4NativeRoutingCIDR", "cni", "bgpControlPlane", "l2announcements", "loadBalancer", "enableIPv4Masquerade")  # fmt: skip


def _known(data: Any) -> bool:
    return isinstance(data, dict) and "kind" not in data and any(key in data for key in _OWN)


def _wanted(profile: NodeProfile, given: Given) -> NodeProfile:
    return replace(
        profile, spec=replace(profile.spec, cilium=replace(profile.spec.cilium, values=table(given.documents[0].data)))
    )


KIND = Kind(
    CILIUM,
    _known,
    re.compile(rf"^(?:{'|'.join(_OWN)}):", re.MULTILINE),
    worlds=lambda _given: (World(),),
    checks=("cilium.values",),
    profile=_wanted,
    words_of_profile="in the profile, below spec.cilium.values",
)
