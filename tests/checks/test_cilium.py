"""Checks of Cilium: kernel, values, releases, ranges, ports, each seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import cilium, cilium_live
from caasctl.facts.cilium import CiliumLive, NodeRanges
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Link, Links
from caasctl.facts.network_ports import Listener, Listeners
from caasctl.facts.os import Kernel, KernelConfig
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

WIREGUARD = "cilium.encryption=wireguard"
RUNC = "runtimes=[runc]"
EVERY = (*cilium._BASE, *cilium._BASE_OPTIONAL, *cilium._MASQUERADE, *cilium._L7, "VXLAN")


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def values(inline: str) -> tuple[str, ...]:
    return (f"cilium.values={inline}",)


def test_a_kernel_for_all_that_is_asked_passes() -> None:
    found = one(cilium.kernel, Kernel("6.1.0-40-amd64", (6, 1)), settings=(WIREGUARD,))
    assert found.found == "6.1.0-40-amd64: WireGuard, socketLB.hostNamespaceOnly, as Kata needs it"
    assert judge(cilium.kernel, Kernel("6.1.0-40-amd64", (6, 1)), settings=(RUNC,)) == []


@pytest.mark.parametrize(
    ("release", "wanted", "level"),
    [
        ("5.10.0-35-amd64", "{bpf: {datapathMode: netkit}}", Level.FAIL),
        ("6.8.0-1", "{bpf: {datapathMode: netkit}}", Level.PASS),
        ("5.15.0-1", "{enableIPv4BIGTCP: true}", Level.FAIL),
        ("5.15.0-1", "{bandwidthManager: {enabled: true, bbr: true}}", Level.FAIL),
        ("5.19.0-1", "{enableIPv6BIGTCP: true}", Level.PASS),
        ("4.18.0-553.el8_10.x86_64", "{encryption: {enabled: true, type: wireguard}}", Level.PASS),
        ("5.4.0-200", "{encryption: {enabled: true, type: wireguard}}", Level.FAIL),
    ],
)
def test_a_feature_that_takes_a_newer_kernel(release: str, wanted: str, level: Level) -> None:
    major, minor = release.split(".")[:2]
    found = one(cilium.kernel, Kernel(release, (int(major), int(minor))), settings=(RUNC, *values(wanted)))
    assert found.level is level


def config(*without: str, **more: str) -> KernelConfig:
    return KernelConfig({name: "m" for name in (*EVERY, *more) if name not in without}, "/boot/config-x")


def test_a_kernel_with_every_option_passes() -> None:
    assert one(cilium.kernel_config, config()).found == "all 7 needed options, in /boot/config-x"


@pytest.mark.parametrize(
    ("without", "settings", "level"),
    [
        ("VXLAN", (), Level.FAIL),
        ("VXLAN", values("{routingMode: native}"), Level.PASS),
        ("GENEVE", values("{tunnelProtocol: geneve}"), Level.FAIL),
        ("WIREGUARD", (WIREGUARD,), Level.FAIL),
        ("XFRM", ("cilium.encryption=ipsec",), Level.FAIL),
        ("NET_SCH_FQ", values("{bandwidthManager: {enabled: true}}"), Level.FAIL),
        ("NETFILTER_XT_MATCH_SOCKET", (), Level.WARN),
        ("NETFILTER_XT_MATCH_SOCKET", values("{l7Proxy: false}"), Level.PASS),
        ("IP_SET", (), Level.WARN),
        ("IP_SET", values("{bpf: {masquerade: true}}"), Level.PASS),
    ],
)
def test_options_are_missed_by_what_uses_them(without: str, settings: tuple[str, ...], level: Level) -> None:
    found = one(cilium.kernel_config, config(without), settings=settings)
    assert found.level is level
    assert level is Level.PASS or f"CONFIG_{without}" in found.found


def test_required_and_optional_options_are_two_findings() -> None:
    levels = [found.level for found in judge(cilium.kernel_config, config("BPF", "BPF_JIT"))]
    assert levels == [Level.FAIL, Level.WARN]


@pytest.mark.parametrize(
    ("inline", "settings", "fix"),
    [
        ("{kubeProxyReplacement: false}", (), "spec.cilium.kubeProxyReplacement: false"),
        ('{kubeProxyReplacement: "true"}', ("cilium.kubeProxyReplacement=false",), "kubeProxyReplacement: true"),
        ("{ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.9.0.0/16]}}}", (), "spec.network.podCIDR: 10.9.0.0/16"),
        ("{ipam: {operator: {clusterPoolIPv4MaskSize: 26}}}", (), "spec.network.nodeCIDRMaskSize: 26"),
    ],
)
def test_values_that_kubeadm_is_told_otherwise_fail(inline: str, settings: tuple[str, ...], fix: str) -> None:
    found = one(cilium.values, settings=(*settings, *values(inline)))
    assert found.level is Level.FAIL
    assert fix in text(found)


def test_values_that_say_what_kubeadm_is_told_pass_and_a_live_pool_is_another_check_s() -> None:
    given = "{kubeProxyReplacement: true, ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.9.0.0/16]}}}"
    settings = ("network.podCIDR=10.8.0.0/13", *values(given))
    assert one(cilium.values, settings=settings).level is Level.PASS
    assert one(cilium.values, live(**POOL), settings=values(given)).level is Level.PASS


def test_values_that_the_chart_knows_pass_and_none_say_nothing() -> None:
    given = values("{socketLB: {hostNamespaceOnly: true}, hubble: {relay: {enabled: true}}, podLabels: {a: b}}")
    assert one(cilium.values, settings=given).level is Level.PASS
    assert judge(cilium.values) == []
    assert judge(cilium.values, settings=given, named="worker") == []


@pytest.mark.parametrize("version", ["1.18.14", "1.19.11", "1.20.5"])
def test_a_value_of_a_wrong_name_warns_with_the_right_one(version: str) -> None:
    settings = (f"cilium.version={version}", *values("{hubble: {relais: {enabled: true}}, policyAuditMode: true}"))
    found = one(cilium.values, settings=settings)
    assert (found.level, found.subject) == (Level.WARN, "hubble.relais")
    assert text(found).endswith("hubble.relay instead of hubble.relais")


def test_a_value_of_a_wrong_type_fails_as_helm_would() -> None:
    found = one(cilium.values, settings=values('{hubble: {enabled: "yes please"}}'))
    assert (found.level, found.found) == (Level.FAIL, "hubble.enabled: 'yes please', not boolean")
    assert one(cilium.values, settings=values("{MTU: true}")).level is Level.FAIL
    assert one(cilium.values, settings=values("{MTU: 1450}")).level is Level.PASS


def live(version: str = "1.20.5", release: str = "cilium", **config: str) -> CiliumLive:
    return CiliumLive(
        asked=True, installed=True, version=version, release=release,
        config={key.replace("_", "-"): value for key, value in config.items()},
        nodes=(NodeRanges("node-1", ("10.244.0.0/24",), ("10.244.0.0/24",)),),
    )  # fmt: skip


def test_a_maintained_release_passes_and_a_worker_has_none() -> None:
    assert one(cilium_live.release, CiliumLive()).found == "1.20.5"
    assert one(cilium_live.release, live("1.19.6")).found == "1.20.5, 1.19.6 runs"
    assert judge(cilium_live.release, CiliumLive(), named="worker") == []


@pytest.mark.parametrize(("version", "said"), [("1.17.9", "end of life"), ("1.21.0", "newer than what caasctl knows")])
def test_a_release_outside_of_the_table_warns(version: str, said: str) -> None:
    found = one(cilium_live.release, CiliumLive(), settings=(f"cilium.version={version}",))
    assert found.level is Level.WARN
    assert said in found.found


@pytest.mark.parametrize(
    ("runs", "fix"),
    [("1.18.12", "caasctl init-node --set cilium.version=1.19.11, then the next minor"),
     ("1.21.0", "in the profile: spec.cilium.version: 1.21.0")],
)  # fmt: skip
def test_a_jump_and_a_downgrade_fail(runs: str, fix: str) -> None:
    found = one(cilium_live.release, live(runs))
    assert (found.level, found.subject, text(found)) == (Level.FAIL, "upgrade", fix)


def test_a_cilium_that_helm_did_not_install_fails() -> None:
    found = one(cilium_live.release, live(release=""))
    assert (found.level, found.found) == (Level.FAIL, "1.20.5 without a Helm release")
    assert "cilium uninstall" in text(found)
    assert text(one(cilium_live.release, live(release="mine"))).startswith("helm -n kube-system uninstall mine")


def plane(**arguments: str) -> ControlPlane:
    told = {"cluster-cidr": "10.244.0.0/16", "node-cidr-mask-size-ipv4": "24"}
    return ControlPlane({"kube-controller-manager": {**told, **{k.replace("_", "-"): v for k, v in arguments.items()}}})


POOL = {"ipam": "cluster-pool", "cluster_pool_ipv4_cidr": "10.244.0.0/16", "cluster_pool_ipv4_mask_size": "24"}


def test_one_range_everywhere_passes_and_without_cilium_nothing_is_said() -> None:
    api = ClusterApi(answers=True, configuration="networking:\n  podSubnet: 10.244.0.0/16\n")
    assert one(cilium_live.pool_matches, live(**POOL), plane(), api).found == "10.244.0.0/16, 1 nodes"
    assert judge(cilium_live.pool_matches, CiliumLive(), plane()) == []
    assert judge(cilium_live.pool_matches, live(**POOL), ControlPlane()) == []


def test_cilium_s_default_pool_fails_and_one_that_the_profile_keeps_warns() -> None:
    wide = live(**{**POOL, "cluster_pool_ipv4_cidr": "10.0.0.0/8"})
    found = one(cilium_live.pool_matches, wide, plane())
    assert (found.level, found.found) == (Level.FAIL, "Cilium's pool is 10.0.0.0/8, the cluster's range 10.244.0.0/16")
    kept = values("{ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.0.0.0/8]}}}")
    assert one(cilium_live.pool_matches, wide, plane(), settings=kept).level is Level.WARN
    assert "ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.0.0.0/8]}}" in text(found)


def test_masks_kubeadm_s_word_and_old_slices_warn() -> None:
    found = one(cilium_live.pool_matches, live(**POOL), plane(node_cidr_mask_size_ipv4="23"))
    assert (found.level, found.subject) == (Level.WARN, "node mask IPv4")
    api = ClusterApi(answers=True, configuration="  podSubnet: 10.10.0.0/16\n")
    assert one(cilium_live.pool_matches, live(**POOL), plane(), api).subject == "podSubnet"
    moved = CiliumLive(True, True, "1.20.5", "cilium", live(**POOL).config, (NodeRanges("n2", (), ("10.0.3.0/24",)),))
    assert one(cilium_live.pool_matches, moved, plane()).found == "n2 has 10.0.3.0/24, the pool is 10.244.0.0/16"


def test_a_node_s_network_of_an_earlier_range_warns() -> None:
    moved = replace(live(**POOL), nodes=(NodeRanges("n2", ("10.10.3.0/24",), ("10.244.3.0/24",)),))
    found = one(cilium_live.pool_matches, moved, plane())
    assert (found.level, found.subject) == (Level.WARN, "Node n2")


def test_other_ipam_modes_have_no_pool() -> None:
    assert one(cilium_live.pool_matches, live(ipam="kubernetes"), plane()).level is Level.PASS


def listening(*found: tuple[str, int, str]) -> Listeners:
    return Listeners(
        tuple(Listener(protocol, "::", port, process, 9 if process else 0) for protocol, port, process in found)
    )


ETH = Links((Link("eth0"),))
UP = Links((Link("eth0"), Link("cilium_vxlan", "vxlan")))


def test_free_ports_and_cilium_s_own_pass() -> None:
    free = one(cilium_live.ports_free, listening(("tcp", 22, "sshd")), ETH)
    assert free.found == "4240, 9878, 9879, 9890, 9891, 9234, 4244, 9963, 9964, 8472: free"
    own = listening(("tcp", 4240, "cilium-agent"), ("tcp", 9234, "cilium-operator"), ("udp", 8472, ""))
    assert one(cilium_live.ports_free, own, UP).level is Level.PASS


def test_a_port_that_is_taken_fails_with_its_owner() -> None:
    found = one(cilium_live.ports_free, listening(("tcp", 9879, "prometheus")), ETH)
    assert (found.level, found.subject, found.found) == (Level.FAIL, "9879/tcp", "held by prometheus (pid 9), on ::")
    assert "as root names it" in text(one(cilium_live.ports_free, listening(("tcp", 9879, "")), ETH))


def test_a_tunnel_of_another_network_holds_the_port_in_the_kernel() -> None:
    links = Links((Link("eth0"), Link("flannel.1", "vxlan")))
    found = one(cilium_live.ports_free, listening(("udp", 8472, "")), links)
    assert found.found == "held by the kernel, for flannel.1, on ::"
    assert text(found) == "ip link delete flannel.1"
    assert one(
        cilium_live.ports_free, listening(("udp", 8472, "")), links, settings=values("{routingMode: native}")
    ).level is (Level.PASS)


def test_ports_follow_the_profile() -> None:
    settings = (WIREGUARD, *values("{tunnelProtocol: geneve, hubble: {enabled: false}, prometheus: {enabled: true}}"))
    found = one(cilium_live.ports_free, listening(), ETH, settings=settings)
    assert found.found == "4240, 9878, 9879, 9890, 9891, 9234, 9962, 9963, 9964, 6081, 51871: free"
