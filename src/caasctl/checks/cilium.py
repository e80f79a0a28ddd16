"""Cilium before it is installed: a kernel for what the profile asks of it, a version and values that its chart knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from caasctl import formats, shipped
from caasctl.facts.cilium import CiliumLive
from caasctl.facts.os import Kernel, KernelConfig
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import helm_values, needs, versions
from caasctl.syntax.cidr.obstacles import inside, network_of

_SCHEMAS = {(1, 18): "cilium-1.18.12", (1, 19): "cilium-1.19.6", (1, 20): "cilium-1.20.0"}
# Read by the chart's templates, but only a comment in its values.yaml, from which the schema is made:
# cilium/cilium install/kubernetes/cilium/templates/cilium-configmap.yaml (hasKey .Values ...)
_UNLISTED = (
    *helm_values.CILIUM_UNLISTED,
    "loadBalancer.mode",
    "loadBalancer.algorithm",
    "loadBalancer.dsrDispatch",
    "nodePort.directRoutingDevice",
    "nodePort.range",
    "policyAuditMode",
)
_REPLACES = "kubeProxyReplacement"
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "object": (dict,), "array": (list, tuple), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip
_BASE = ("BPF", "BPF_SYSCALL", "NET_CLS_BPF", "NET_CLS_ACT", "NET_SCH_INGRESS", "FIB_RULES")
_BASE_OPTIONAL = ("BPF_JIT", "CRYPTO_SHA1", "CRYPTO_USER_API_HASH", "PERF_EVENTS", "SCHEDSTATS")
_MASQUERADE = ("NETFILTER_XT_SET", "IP_SET", "IP_SET_HASH_IP", "NETFILTER_XT_MATCH_COMMENT")
_L7 = ("NETFILTER_XT_TARGET_TPROXY", "NETFILTER_XT_TARGET_MARK", "NETFILTER_XT_TARGET_CT", "NETFILTER_XT_MATCH_MARK",
       "NETFILTER_XT_MATCH_SOCKET")  # fmt: skip
_IPSEC = ("XFRM", "XFRM_ALGO", "XFRM_USER", "INET_ESP", "CRYPTO_AEAD", "CRYPTO_GCM", "CRYPTO_SEQIV")


def _on(profile: NodeProfile, path: str, *, default: bool = False) -> bool:
    return helm_values.at(profile.spec.cilium.values, path, default) is True


def tunnel(profile: NodeProfile) -> str:
    """The tunnel between nodes: vxlan, geneve, or "" with native routing."""
    values = profile.spec.cilium.values
    native = helm_values.at(values, "routingMode") == "native"
    return "" if native else str(helm_values.at(values, "tunnelProtocol") or "vxlan")


def encryption(profile: NodeProfile) -> str:
    """The encryption between nodes: wireguard, ipsec, ztunnel, or ""."""
    spec = profile.spec.cilium
    if spec.encryption != "off":
        return spec.encryption
    return str(helm_values.at(spec.values, "encryption.type") or "ipsec") if _on(profile, "encryption.enabled") else ""


def _features(profile: NodeProfile) -> dict[str, tuple[int, int]]:
    """What the profile asks for that takes a newer kernel than Cilium itself: feature -> kernel."""
    values = profile.spec.cilium.values
    asked = {
        "WireGuard": ((5, 6), encryption(profile) == "wireguard"),
        "socketLB.hostNamespaceOnly, as Kata needs it": ((5, 7), bool(profile.kata_handlers)),
        "bandwidthManager.bbr": ((5, 18), _on(profile, "bandwidthManager.bbr")),
        "enableIPv6BIGTCP": ((5, 19), _on(profile, "enableIPv6BIGTCP")),
        "enableIPv4BIGTCP": ((6, 3), _on(profile, "enableIPv4BIGTCP")),
        "bpf.datapathMode netkit": ((6, 8), helm_values.at(values, "bpf.datapathMode") in ("netkit", "netkit-l2")),
    }
    return {feature: kernel for feature, (kernel, wanted) in asked.items() if wanted}


@check(
    "cilium.kernel",
    "The kernel has what the profile asks of Cilium",
    reads=(Kernel,),
    why="The agent ends, or goes on without the feature: `requires Linux kernel 6.8`, `BIG TCP ... disabling the feature`.",
    fix="Boot a newer kernel, or leave the feature off in spec.cilium.",
    source="cilium/cilium Documentation/operations/system_requirements.rst, required kernel versions for advanced features",
    gates=("cilium",),
    after=("os.kernel_minimum",),
)
def kernel(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/sys/kernel/osrelease against spec.cilium; what Cilium itself needs is os.kernel_minimum's."""
    running, asked = facts[Kernel], _features(profile)
    backports = ".el8" in running.release  # Red Hat's kernel has newer features than its number
    lost = {feature: since for feature, since in asked.items() if running.version < since and not backports}
    for feature, since in lost.items():
        yield failed(
            f"{running.release}: too old for {feature}",
            wanted=f"{since[0]}.{since[1]} or newer",
            subject=feature,
            fix=Fix("upgrade the distribution to a release with a newer kernel", FixKind.WAIT, needs_reboot=True),
        )
    if asked and not lost:
        yield passed(f"{running.release}: {', '.join(asked)}")


def _required(profile: NodeProfile) -> dict[str, str]:
    """Kernel options without which the agent ends or packets are lost: option -> what for."""
    wanted = dict.fromkeys(_BASE, "Cilium")
    if tunnel(profile) in ("vxlan", "geneve"):
        wanted[tunnel(profile).upper()] = "the tunnel between nodes"
    if encryption(profile) == "wireguard":
        wanted["WIREGUARD"] = "encryption with WireGuard"
    if encryption(profile) == "ipsec":
        wanted |= dict.fromkeys(_IPSEC, "encryption with IPsec")
    if _on(profile, "bandwidthManager.enabled"):
        wanted["NET_SCH_FQ"] = "the bandwidth manager"
    return wanted


def _optional(profile: NodeProfile) -> dict[str, str]:
    wanted = dict.fromkeys(_BASE_OPTIONAL, "faster BPF, metrics")
    if not _on(profile, "bpf.masquerade"):
        wanted |= dict.fromkeys(_MASQUERADE, "masquerading by iptables")
    if _on(profile, "l7Proxy", default=True):
        wanted |= dict.fromkeys(_L7, "L7 and DNS policies")
    return {name: who for name, who in wanted.items() if name not in needs.KUBEADM_REQUIRED}


@check(
    "cilium.kernel_config",
    "The kernel is built with what Cilium uses",
    reads=(KernelConfig,),
    why="The agent ends or drops packets: `BPF system call is not supported`, `operation not supported` for its tunnel.",
    fix="Boot the distribution's own kernel, or rebuild this one with the options that the finding names.",
    source="cilium/cilium Documentation/operations/system_requirements.rst, Linux kernel",
    gates=("cilium",),
)
def kernel_config(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/config.gz, /boot/config-$(uname -r) or the modules folder's config; options by tunnel, encryption and policies."""
    config, required = facts[KernelConfig], _required(profile)
    lacking = needs.lacking(config.options, required)
    reduced = needs.lacking(config.options, _optional(profile))
    if lacking:
        yield failed(_named(lacking), wanted="each of them y or m", fix=_rebuild(lacking),
                     evidence=(_unset(config, lacking),))  # fmt: skip
    if reduced:
        yield warned(_named(reduced), wanted="each of them y or m", fix=_rebuild(reduced), subject="optional",
                     cause="What uses them does not work, or more slowly; the rest of Cilium does.",
                     evidence=(_unset(config, reduced),))  # fmt: skip
    if not lacking and not reduced:
        yield passed(f"all {len(required)} needed options, in {config.source}")


def _named(options: Mapping[str, str]) -> str:
    by_user: dict[str, list[str]] = {}
    for name, who in options.items():
        by_user.setdefault(who, []).append(f"CONFIG_{name}")
    return "not built: " + "; ".join(f"{', '.join(names)} ({who})" for who, names in by_user.items())


def _unset(config: KernelConfig, options: Mapping[str, str]) -> Evidence:
    return Evidence(config.source, "\n".join(f"# CONFIG_{name} is not set" for name in options))


def _rebuild(options: Mapping[str, str]) -> Fix:
    wanted = " ".join(f"CONFIG_{name}=y" for name in options)
    return Fix(f"install the distribution's own kernel, or build one with {wanted}", FixKind.WAIT, needs_reboot=True)


@check(
    "cilium.values",
    "Every value for Cilium's chart is one that the chart reads",
    reads=(),
    why="Helm takes values of any name without a word: one of a wrong name changes nothing, and nobody says so.",
    fix="Correct the name in spec.cilium.values; `helm show values cilium/cilium` lists them all.",
    source="values.schema.json of the charts 1.18, 1.19 and 1.20; values that are comments there: cilium-configmap.yaml",
    gates=("cilium",),
)
def values(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.cilium.values against the schema of the chart's minor version."""
    given, version = profile.spec.cilium.values, profile.spec.cilium.version
    name = _SCHEMAS.get(versions.minor(version) or (0, 0))
    if not given or not name or not profile.begins_cluster:  # others get Cilium from their cluster
        return
    schema = formats.parse_json(shipped.text("schemas", f"{name}.values.schema.json") or "{}", name)
    unknown, wrong = helm_values.unknown_paths(given, schema, _UNLISTED), tuple(_wrong_types(given, schema, ""))
    for path in unknown:
        near = difflib.get_close_matches(path, tuple(_paths(schema, "")), 1)
        fix = f"{near[0]} instead of {path}" if near else f"take {path} out"
        yield warned(f"{path}: not in the chart of {version}", wanted="a value that the chart reads", subject=path,
                     fix=Fix(f"in the profile, below spec.cilium.values: {fix}", FixKind.EDIT))  # fmt: skip
    for path, said in wrong:
        yield failed(f"{path}: {said}", wanted="a value of the schema's type", subject=path,
                     cause="helm stops: `values don't meet the specifications of the schema(s)`.",
                     fix=Fix(f"in the profile, below spec.cilium.values: give {path} a value of its type", FixKind.EDIT))  # fmt: skip
    against = tuple(_against_kubeadm(given, facts, profile))
    yield from against
    if not unknown and not wrong and not against:
        yield passed(f"{len(given)} of the profile, all in the chart of {version}")


def _against_kubeadm(given: Mapping[str, Any], facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Values that kubeadm is told otherwise, from the profile's own keys. A pool that lives already is cilium.pool_matches's."""
    replaces = helm_values.at(given, _REPLACES)
    if replaces is not None and (str(replaces).lower() == "true") != profile.spec.cilium.kubeProxyReplacement:
        wanted = "true" if profile.spec.cilium.kubeProxyReplacement else "false"
        cause = (
            "kubeadm goes by spec.cilium.kubeProxyReplacement: the cluster would have no service proxy at all, or two."
        )
        yield _told_twice(_REPLACES, replaces, wanted, cause, f"spec.cilium.{_REPLACES}")
    live = facts.get(CiliumLive)
    if live is not None and live.installed:
        return
    network = profile.spec.network
    for path, mine, key in (
        ("clusterPoolIPv4PodCIDRList", network.podCIDR.split(","), "podCIDR"),
        ("clusterPoolIPv6PodCIDRList", network.podCIDR.split(","), "podCIDR"),
        ("clusterPoolIPv4MaskSize", [network.nodeCIDRMaskSize], "nodeCIDRMaskSize"),
        ("clusterPoolIPv6MaskSize", [network.nodeCIDRMaskSizeIPv6], "nodeCIDRMaskSizeIPv6"),
    ):
        told = helm_values.at(given, f"ipam.operator.{path}")
        pool = told if isinstance(told, (list, tuple)) else [told]
        if told is not None and not all(_holds(mine, str(one)) for one in pool):
            cause = (
                "The controller manager goes by spec.network, and nobody looks whether this node uses such addresses."
            )
            yield _told_twice(f"ipam.operator.{path}", told, ", ".join(map(str, mine)), cause, f"spec.network.{key}")


def _holds(mine: Sequence[object], told: str) -> bool:
    """Whether it is one of these words, or a network inside one of them: a part of the range is a fine pool."""
    words = [str(one).strip() for one in mine]
    inner, outer = network_of(told), [network for word in words if "/" in word and (network := network_of(word))]
    return told in words or ("/" in told and inner is not None and any(inside(inner, one) for one in outer))


def _told_twice(path: str, told: object, wanted: str, cause: str, key: str) -> Finding:
    text = ",".join(map(str, told)) if isinstance(told, (list, tuple)) else str(told).lower()
    return failed(
        f"{path}: {text}, where {key} is {wanted}",
        wanted="one word for kubeadm and Cilium",
        subject=path,
        cause=cause,
        fix=Fix(f"in the profile: {key}: {text} instead of {path} below spec.cilium.values", FixKind.EDIT),
    )


def _wrong_types(given: Any, node: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """(path, what it is and should be) of values whose type the schema does not allow; null unsets a key."""
    kinds = node.get("type", ())
    allowed = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if given is not None and allowed and not any(_is(given, kind) for kind in allowed):
        yield path, f"{given!r}, not {' or '.join(allowed)}"
    elif isinstance(given, Mapping):
        for key, inner in given.items():
            below = node.get("properties", {}).get(key)
            if isinstance(below, Mapping):
                yield from _wrong_types(inner, below, f"{path}.{key}" if path else str(key))


def _is(given: object, kind: str) -> bool:
    if isinstance(given, bool):
        return kind == "boolean"
    return isinstance(given, _JSON_TYPES.get(kind, (object,)))


def _paths(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, below in node.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        yield here
        yield from _paths(below, here)


CHECKS: tuple[Check, ...] = (kernel, kernel_config, values)
