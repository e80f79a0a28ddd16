"""Resolvers, ports, kernel settings, firewalls: parsers and trees of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caasctl.bundle import BundleHost
from caasctl.facts import network_dns, network_firewall, network_ports, network_sysctl
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_firewall import Firewalld, ForwardChain, ForwardChains, Ufw
from caasctl.facts.network_ports import Listener
from caasctl.facts.network_sysctl import Forwarding, Ipv6, RpFilter, RpFilterLine
from caasctl.host import LiveHost
from caasctl.model import Unreadable

RESOLV = "# made by a tool\nnameserver 127.0.0.53\noptions edns0\ndomain old.example\nsearch lab.example example.com ; tail\n"
SS = """tcp LISTEN 0      128                0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=812,fd=3))
tcp LISTEN 0      4096                     *:10250            *:*    users:(("kubelet",pid=2021,fd=17))
udp UNCONN 0      0      127.0.0.53%lo:53         0.0.0.0:*
tcp LISTEN 0      4096              [::1]:6443            [::]:*
"""
PROC_TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1146 1 000000005f40df1c 100 0 0 10 0
   1: 020200C0:9C40 010200C0:01BB 01 00000000:00000000 00:00000000 00000000     0        0 1147 1 000000005f40df1d 100 0 0 10 0
"""
PROC_TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000001000000:192B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000
"""
NFT = """table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t}
\tchain DOCKER {
\t}
}
table inet site {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t}
\tchain forward {
\t\ttype filter hook forward priority filter + 10;
\t}
}
"""
USER_RULES = """*filter
### RULES ###

### tuple ### allow tcp 22,6443 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp -m multiport --dports 22,6443 -j ACCEPT
### tuple ### allow any any 0.0.0.0/0 any 10.0.0.0/8 in
### tuple ### deny tcp 4240 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow udp 53 0.0.0.0/0 any 0.0.0.0/0 out
### tuple ### allow udp 8472 0.0.0.0/0 any 0.0.0.0/0 out_eth0 comment=6162
### tuple ### route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in
"""
ZONE = """<?xml version="1.0" encoding="utf-8"?>
<zone><short>Public</short><service name="ssh"/><service name="kube-apiserver"/>
<port port="4240" protocol="tcp"/><port protocol="udp" port="8472"/><forward/></zone>
"""


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


def bundle(folder: Path, files: dict[str, str], commands: list[dict[str, object]]) -> BundleHost:
    tree(folder / "root", files)
    (folder / "root").mkdir(exist_ok=True)
    (folder / "manifest.json").write_text('{"schemaVersion": 1}')
    (folder / "commands.json").write_text(json.dumps(commands))
    return BundleHost(str(folder))


def test_resolv_conf_is_read_as_the_c_library_does() -> None:
    assert network_dns.parse_resolv_conf(RESOLV) == (("127.0.0.53",), ("lab.example", "example.com"))
    assert network_dns.parse_resolv_conf("nameserver fe80::1%eth0\nnameserver\n") == (("fe80::1",), ())
    assert network_dns.parse_resolv_conf("nameserver 10.\nnameserver dns1\nnameserver 10.0.0.1\n") == (
        ("10.0.0.1",),
        (),
    )
    assert network_dns.parse_resolv_conf("") == ((), ())


def test_the_servers_behind_the_stub_are_found(tmp_path: Path) -> None:
    files = {"/etc/resolv.conf": RESOLV, network_dns.UPSTREAM: "nameserver 192.0.2.53\n"}
    found = network_dns.read_resolvers(tree(tmp_path, files))
    assert found == Resolvers(("127.0.0.53",), ("192.0.2.53",), ("lab.example", "example.com"))
    assert (found.servers, found.path) == (("192.0.2.53",), network_dns.UPSTREAM)


def test_network_manager_s_own_list_is_found_behind_dnsmasq(tmp_path: Path) -> None:
    files = {"/etc/resolv.conf": "nameserver 127.0.0.1\n", network_dns.MANAGER: "nameserver 192.0.2.53\n"}
    assert network_dns.read_resolvers(tree(tmp_path, files)) == Resolvers(("127.0.0.1",), instead=network_dns.MANAGER)


def test_no_resolv_conf_is_a_value_on_a_running_host_only(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no running host"):
        network_dns.read_resolvers(LiveHost(str(tmp_path)))
    (tmp_path / "run").mkdir()
    assert network_dns.read_resolvers(LiveHost(str(tmp_path))) == Resolvers((), present=False)


def test_ss_is_read_with_its_processes() -> None:
    assert network_ports.parse_ss(SS) == (
        Listener("tcp", "0.0.0.0", 22, "sshd", 812),
        Listener("tcp", "::", 10250, "kubelet", 2021),
        Listener("udp", "127.0.0.53", 53),
        Listener("tcp", "::1", 6443),
    )
    assert network_ports.parse_ss("") == ()
    with pytest.raises(Unreadable):
        network_ports.parse_ss("tcp LISTEN 0 128 somewhere:http 0.0.0.0:*")


def test_listeners_of_a_tree_without_commands(tmp_path: Path) -> None:
    host = tree(tmp_path, {"/proc/net/tcp": PROC_TCP, "/proc/net/tcp6": PROC_TCP6})
    found = network_ports.read_listeners(host)
    assert found.listeners == (Listener("tcp", "127.0.0.1", 8080), Listener("tcp", "::1", 6443))
    assert found.on("tcp", 6443)
    assert not found.on("udp", 6443)


def test_listeners_that_nobody_can_tell_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        network_ports.read_listeners(LiveHost(str(tmp_path)))
    with pytest.raises(Unreadable, match="unknown form"):
        network_ports.parse_proc("head\n 0: nonsense 00000000:0000 0A\n", "tcp")


def test_rp_filter_lines_of_a_sysctl_file() -> None:
    text = "# net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.default.rp_filter=2\n-net/ipv4/conf/eth0.5/rp_filter = 0\nkernel.pid_max=1\n"
    assert network_sysctl.parse_rp_filter("/f", text) == (
        RpFilterLine("/f", 2, "default", 2),
        RpFilterLine("/f", 3, "eth0.5", 0),
    )
    assert network_sysctl.parse_rp_filter("/f", "") == ()


def test_files_hold_in_the_order_of_a_boot(tmp_path: Path) -> None:
    host = tree(
        tmp_path,
        {
            "/usr/lib/sysctl.d/50-default.conf": "net.ipv4.conf.*.rp_filter = 2\n",
            "/usr/lib/sysctl.d/60-site.conf": "net.ipv4.conf.all.rp_filter = 2\n",
            "/etc/sysctl.d/60-site.conf": "net.ipv4.conf.all.rp_filter = 1\n",
            "/etc/sysctl.conf": "net.ipv4.conf.all.rp_filter = 0\n",
        },
    )
    found = network_sysctl.read_rp_filter_files(host)
    assert [(line.path, line.value) for line in found.lines] == [
        ("/usr/lib/sysctl.d/50-default.conf", 2),
        ("/etc/sysctl.d/60-site.conf", 1),
        ("/etc/sysctl.conf", 0),
    ]
    last = found.last("all")
    assert last
    assert last.path == "/etc/sysctl.conf"


def test_live_values_and_the_greater_one(tmp_path: Path) -> None:
    conf = "/proc/sys/net/ipv4/conf"
    files = {f"{conf}/{name}/rp_filter": f"{value}\n" for name, value in (("all", 1), ("default", 0), ("eth0", 2))}
    found = network_sysctl.read_rp_filter(tree(tmp_path, files))
    assert found == RpFilter(1, 0, {"eth0": 2})
    assert (found.effective("eth0"), found.effective("new0")) == (2, 1)


def test_forwarding_is_read_or_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not there"):
        network_sysctl.read_forwarding(LiveHost(str(tmp_path)))
    host = tree(tmp_path, {"/proc/sys/net/ipv4/ip_forward": "1\n"})
    assert network_sysctl.read_forwarding(host) == Forwarding(ipv4=True)
    with pytest.raises(Unreadable, match="not a number"):
        network_sysctl.read_forwarding(tree(tmp_path, {"/proc/sys/net/ipv4/ip_forward": "yes\n"}))


def test_ipv6_off_by_argument_by_sysctl_and_on(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        network_sysctl.read_ipv6(LiveHost(str(tmp_path)))
    host = tree(tmp_path, {"/proc/net/dev": "head\n", "/proc/cmdline": "ro quiet ipv6.disable=1 nomodeset\n"})
    assert network_sysctl.read_ipv6(host) == Ipv6(stack=False, by_argument=True)
    tree(
        tmp_path, {"/proc/net/if_inet6": "", "/proc/cmdline": "ro\n", "/proc/sys/net/ipv6/conf/all/disable_ipv6": "1\n"}
    )
    assert network_sysctl.read_ipv6(host) == Ipv6(stack=True, switched_off=True)


def test_ufw_rules_that_let_in() -> None:
    assert network_firewall.parse_ufw_rules(USER_RULES) == ("22/tcp", "6443/tcp", "any/any")
    assert network_firewall.parse_ufw_rules("") == ()
    assert network_firewall.parse_ufw_rules("### tuple ### allow\n") == ()


def test_ufw_of_a_tree(tmp_path: Path) -> None:
    assert network_firewall.read_ufw(LiveHost(str(tmp_path))) == Ufw(enabled=False)
    files = {
        "/etc/ufw/ufw.conf": "# comment\nENABLED=yes\nLOGLEVEL=low\n",
        "/etc/default/ufw": 'DEFAULT_INPUT_POLICY="DROP"\nDEFAULT_FORWARD_POLICY="ACCEPT"\n',
    }
    assert network_firewall.read_ufw(tree(tmp_path, files)) == Ufw(enabled=True, forward="ACCEPT", incoming="DROP")


def test_firewalld_is_seen_by_its_cgroup(tmp_path: Path) -> None:
    assert network_firewall.read_firewalld(LiveHost(str(tmp_path))) == Firewalld(active=False)
    (tmp_path / "sys/fs/cgroup/system.slice/firewalld.service").mkdir(parents=True)
    host = tree(
        tmp_path, {"/etc/firewalld/firewalld.conf": "DefaultZone=work\n", "/etc/firewalld/zones/work.xml": ZONE}
    )
    assert network_firewall.read_firewalld(host) == Firewalld(active=True, zone="work")
    assert network_firewall.read_firewalld_ports(host).opened == ("4240/tcp", "8472/udp", "6443/tcp")


def test_firewalld_in_a_tree_without_cgroups_is_not_known(tmp_path: Path) -> None:
    host = tree(tmp_path, {"/usr/sbin/firewalld": "#!/usr/bin/python3\n"})
    assert network_firewall.read_firewalld(host) == Firewalld(active=None)


def test_chains_at_the_forward_hook() -> None:
    assert network_firewall.parse_nft_chains(NFT) == (
        ForwardChain("ip filter", "FORWARD", "drop"),
        ForwardChain("inet site", "forward", "accept"),
    )
    assert network_firewall.parse_nft_chains("") == ()
    assert network_firewall.parse_iptables_policy("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n") == (
        ForwardChain("ip filter", "FORWARD", "drop"),
    )
    assert network_firewall.parse_iptables_policy("iptables: Permission denied") == ()


def test_nothing_is_asked_where_the_kernel_has_no_filter_loaded(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="/sys/module"):
        network_firewall.read_forward_chains(LiveHost(str(tmp_path)))
    (tmp_path / "sys/module").mkdir(parents=True)
    assert network_firewall.read_forward_chains(LiveHost(str(tmp_path))) == ForwardChains()


def test_nft_is_asked_and_then_iptables(tmp_path: Path) -> None:
    files = {"/sys/module/nf_tables/refcnt": "3\n"}
    nft: dict[str, object] = {"argv": ["nft", "list", "chains"], "stdout": NFT}
    assert len(network_firewall.read_forward_chains(bundle(tmp_path / "a", files, [nft])).chains) == 2
    nft = {"argv": ["nft", "list", "chains"], "rc": 127}
    iptables: dict[str, object] = {"argv": ["iptables", "-S", "FORWARD"], "stdout": "-P FORWARD ACCEPT\n"}
    found = network_firewall.read_forward_chains(bundle(tmp_path / "b", files, [nft, iptables]))
    assert found.chains == (ForwardChain("ip filter", "FORWARD", "accept"),)
    nft = {"argv": ["nft", "list", "chains"], "rc": 1, "stderr": "Operation not permitted (you must be root)\n"}
    with pytest.raises(Unreadable, match="must be root"):
        network_firewall.read_forward_chains(bundle(tmp_path / "c", files, [nft]))


def test_nft_output_that_breaks_off_is_no_bug() -> None:
    assert network_firewall.parse_nft_chains("table\nchain\n") == ()
