"""Kernel settings without which packets of pods are dropped silently: forwarding, reverse path filter, IPv6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from caasctl.facts.boot import GrubConfig
from caasctl.facts.network import Links
from caasctl.facts.network_sysctl import Forwarding, Ipv6, RpFilter, RpFilterFiles, RpFilterLine
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile

_STRICT = 1
_WORDS = {0: "0 (off)", 1: "1 (strict)", 2: "2 (loose)"}


@check(
    "network.ip_forward",
    "The kernel forwards IPv4 packets",
    reads=(Forwarding,),
    why="Pods reach nothing beyond their node, and kubeadm stops with"
    " `/proc/sys/net/ipv4/ip_forward contents are not set to 1`.",
    fix="Set net.ipv4.ip_forward = 1 in a file of /etc/sysctl.d and load it with `sysctl --system`.",
    source="kubernetes: cmd/kubeadm/app/preflight/checks.go (FileContent--proc-sys-net-ipv4-ip_forward)",
    fixed_by="host",
    gates=("kubeadm",),
)
def ip_forward(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The live value in /proc/sys/net/ipv4/ip_forward."""
    if facts[Forwarding].ipv4:
        yield passed("1")
    else:
        yield failed("0", wanted="1", fix=Fix("sysctl -w net.ipv4.ip_forward=1"))


@check(
    "network.rp_filter",
    "The reverse path filter is not strict where pods' packets pass",
    reads=(RpFilter, RpFilterFiles, Links),
    why="The kernel takes the greater of `all` and the interface's value: with `all` at 1 it drops packets from pods on"
    " Cilium's interfaces, whatever Cilium sets there. Nothing is logged; pods just do not reach each other.",
    fix="Set net.ipv4.conf.all.rp_filter to 0 (or 2) in the file that sets it to 1; patterns over all interfaces likewise.",
    source="cilium#10645, cilium#20072; kernel: Documentation/networking/ip-sysctl.rst",
)
def rp_filter(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Live net.ipv4.conf.*.rp_filter; every sysctl.d folder and /etc/sysctl.conf in the order of a boot."""
    live, files = facts[RpFilter], facts[RpFilterFiles]
    dropping = [link.name for link in facts[Links].links if link.ours and live.effective(link.name) == _STRICT]
    every = next((files.last(name) for name in ("all", "*") if _strict(files.last(name))), None)
    found = f"all {_WORDS.get(live.all, live.all)}, default {_WORDS.get(live.default, live.default)}"
    if dropping:
        yield failed(
            f"{found}, so strict on {', '.join(dropping[:3])}" + (" ..." if len(dropping) > 3 else ""),  # noqa: PLR2004
            wanted="0 or 2 on Cilium's interfaces",
            fix=_mend(every),
            evidence=_evidence(every),
        )
    elif live.all == _STRICT or every:
        where = f", set at boot by {every.path} line {every.line}" if every else ""
        pattern = every is not None and every.interface == "*"
        yield warned(
            found + where,
            wanted="no pattern that makes new interfaces strict" if pattern else "all 0 (off) or 2 (loose)",
            cause=_PATTERN if pattern else "",
            fix=_mend(every),
            evidence=_evidence(every),
        )
    else:
        yield passed(found)


_IPV6_OFF = "ipv6.disable=1"
_PACKAGED = ("/usr/lib/", "/lib/")
_PATTERN = (
    "udev applies the pattern to every interface that appears, Cilium's too: whenever Cilium's own override is not read last,"
    " the kernel drops packets from pods. Nothing is logged; pods just do not reach each other."
)


def _strict(line: RpFilterLine | None) -> bool:
    return line is not None and line.value == _STRICT


def _mend(line: RpFilterLine | None) -> Fix:
    if line is None:
        return Fix("sysctl -w net.ipv4.conf.all.rp_filter=0")
    key = f"net.ipv4.conf.{line.interface}.rp_filter"
    value = 0 if line.interface == "all" else 2
    if line.path.startswith(_PACKAGED):  # the next upgrade brings it back; a later file with the same key wins
        return Fix(f"echo '{key} = {value}' > /etc/sysctl.d/99-zz-rp-filter.conf && systemctl restart systemd-sysctl")
    return Fix(f"{line.path} line {line.line}: {key} = {value}, then `sysctl --system`", FixKind.EDIT)


def _evidence(line: RpFilterLine | None) -> tuple[Evidence, ...]:
    if line is None:
        return (Evidence("/proc/sys/net/ipv4/conf/all/rp_filter", "1"),)
    return (Evidence(f"{line.path}:{line.line}", f"net.ipv4.conf.{line.interface}.rp_filter = {line.value}"),)


@check(
    "network.ipv6_disabled",
    "IPv6 sockets can be made, even where IPv6 is not used",
    reads=(Ipv6,),
    why="With ipv6.disable=1 there is no AF_INET6 at all: Cilium's agent and ip6tables fail with `Address family not"
    " supported by protocol`, and `cilium connectivity test` finds no /proc/net/udp6.",
    fix="Boot without ipv6.disable=1 and, to keep IPv6 off, set net.ipv6.conf.all.disable_ipv6 = 1 instead.",
    source="cilium#20672, cilium#31944",
)
def ipv6_disabled(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/net/if_inet6, /proc/cmdline, /sys/module/ipv6/parameters/disable, disable_ipv6; Cilium's ipv6.enabled."""
    six = facts[Ipv6]
    asked = _cilium_wants_ipv6(profile.spec.cilium.values)
    if not six.stack:
        found = "ipv6.disable=1 on the kernel's command line" if six.by_argument else "this kernel runs without IPv6"
        yield (failed if asked else warned)(found, wanted="an IPv6 stack", fix=_stack(six, facts.get(GrubConfig)))
    elif six.switched_off and asked:
        yield failed(
            "net.ipv6.conf.all.disable_ipv6 = 1",
            wanted="0, as the profile sets Cilium's ipv6.enabled",
            fix=Fix("sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
            cause="Cilium cannot give IPv6 addresses to pods: `failed to add addr to device: permission denied`.",
        )
    else:
        yield passed("there, addresses switched off by sysctl" if six.switched_off else "on")


def _cilium_wants_ipv6(values: Mapping[str, object]) -> bool:
    ipv6 = values.get("ipv6")
    return isinstance(ipv6, Mapping) and ipv6.get("enabled") is True


def _stack(six: Ipv6, grub: GrubConfig | None) -> Fix:
    if six.by_argument:
        places = [one.where for one in (grub.arguments if grub else ()) if one.text == _IPV6_OFF]
        there = (
            f"out of {places[0]}, then `update-grub`" if places else "off the command line that the boot loader gives"
        )
        return Fix(f"take {_IPV6_OFF} {there}", FixKind.EDIT, needs_reboot=True)
    return Fix("modprobe ipv6   # look into /etc/modprobe.d for a line that keeps it off")


CHECKS: tuple[Check, ...] = (ip_forward, rp_filter, ipv6_disabled)
