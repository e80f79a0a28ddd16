"""What else has networks here: policy rules, CNI configurations, Docker's pools, servers; parsers and trees of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caasctl.bundle import BundleHost
from caasctl.facts.network_bridges import (
    CniConfig,
    CniConfigs,
    DockerPools,
    parse_cni,
    parse_daemon,
    read_cni_configs,
    read_docker_pools,
)
from caasctl.facts.network_rules import PolicyRules, Rule, parse_rules, read_policy_rules
from caasctl.facts.network_servers import (
    HostsFile,
    Server,
    parse_chrony,
    parse_hosts,
    parse_hosts_toml,
    parse_mounts,
    parse_timesyncd,
    read_hosts_file,
    read_registry_mirrors,
    read_storage_servers,
    read_time_servers,
)
from caasctl.host import LiveHost
from caasctl.model import Unreadable

# iproute2 6.1 on a host with Tailscale, a VRF-like table for a second card, and Cilium
RULES = """[{"priority":0,"src":"all","table":"local"},
{"priority":9,"src":"all","fwmark":"0x200","fwmask":"0xf00","table":"2004"},
{"priority":10,"src":"all","fwmark":"0xa00","fwmask":"0xf00","table":"2005"},
{"priority":100,"src":"10.20.0.5","table":"second"},
{"priority":101,"src":"10.30.0.0","srclen":16,"dst":"10.40.0.0","dstlen":24,"table":"100"},
{"priority":102,"src":"all","dst":"10.50.0.0","dstlen":16,"table":"main"},
{"priority":103,"src":"10.60.0.0","srclen":16,"action":"blackhole"},
{"priority":5210,"src":"all","fwmark":"0x80000","fwmask":"0xff0000","table":"main"},
{"not":null,"priority":32765,"src":"all","fwmark":"0xca6c","table":"51820"},
{"priority":32766,"src":"all","table":"main"},{"priority":32767,"src":"all","table":"default"}]
"""
PODMAN = """{"cniVersion": "0.4.0", "name": "podman", "plugins": [
 {"type": "bridge", "bridge": "cni-podman0", "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}],
  "ranges": [[{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}]]}}, {"type": "portmap"}]}"""
BRIDGE = '{"cniVersion":"0.3.1","name":"old","type":"bridge","ipam":{"type":"host-local","subnet":"10.22.0.0/16"}}'
CILIUM = '{"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni","enable-debug":false}]}'
CALICO = '{"name":"k8s","plugins":[{"type":"calico","ipam":{"type":"calico-ipam","ipv4_pools":["10.1.0.0/16","default-pool"]}}]}'
MOUNTS = """/dev/sda1 / ext4 rw 0 0
nas.example:/home /home nfs4 rw,vers=4.2,addr=10.7.0.5,clientaddr=10.0.0.1 0 0
[fd00:5::1]:/x /x nfs rw 0 0
//files.example/share /mnt cifs rw,username=x,addr=10.7.0.6 0 0
10.8.0.1@o2ib:10.8.0.2@o2ib:/scratch /scratch lustre rw 0 0
10.9.0.1:6789,10.9.0.2:6789:/ /ceph ceph rw,name=admin 0 0
admin@8f2c.fs=/ /ceph2 ceph rw,mon_addr=10.9.0.3:3300/10.9.0.4:3300 0 0
gl.example:/vol /gl fuse.glusterfs rw 0 0
broken
"""


def put(top: Path, files: dict[str, str]) -> LiveHost:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LiveHost(str(top))


def bundle(top: Path, commands: dict[tuple[str, ...], tuple[int, str]]) -> BundleHost:
    entries = [{"argv": list(argv), "rc": rc, "stdout": out, "stderr": "bad"} for argv, (rc, out) in commands.items()]
    put(top, {"manifest.json": json.dumps({"schemaVersion": 1}), "commands.json": json.dumps(entries)})
    (top / "root").mkdir()
    return BundleHost(str(top))


def test_rules_that_name_networks_are_found_and_cilium_s_are_not() -> None:
    assert parse_rules(RULES) == (
        Rule(100, "10.20.0.5/32", "", "second"),
        Rule(101, "10.30.0.0/16", "10.40.0.0/24", "100"),
        Rule(102, "", "10.50.0.0/16", "main"),
        Rule(103, "10.60.0.0/16", "", "blackhole"),
    )
    assert [rule.diverts for rule in parse_rules(RULES)] == [True, True, False, True]
    assert parse_rules("") == parse_rules("[]") == ()


def test_rules_of_another_form_are_unreadable() -> None:
    for text in ("0: from all lookup local", '[{"src": "nowhere"}]', '{"a": 1}'):
        with pytest.raises(Unreadable, match="is not the JSON of iproute2"):
            parse_rules(text)


def test_rules_of_both_families_are_asked_for(tmp_path: Path) -> None:
    six = '[{"priority":5,"src":"fd00:1::","srclen":64,"table":"9"}]'
    host = bundle(tmp_path, {("ip", "-j", "rule"): (0, RULES), ("ip", "-j", "-6", "rule"): (0, six)})
    assert read_policy_rules(host).rules[-1] == Rule(5, "fd00:1::/64", "", "9")
    assert len(read_policy_rules(host).rules) == 5


def test_a_kernel_without_ipv6_has_rules_too(tmp_path: Path) -> None:
    host = bundle(tmp_path, {("ip", "-j", "rule"): (0, "[]"), ("ip", "-j", "-6", "rule"): (2, "")})
    assert read_policy_rules(host) == PolicyRules()


def test_rules_that_nothing_tells_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="bad"):
        read_policy_rules(bundle(tmp_path / "a", {("ip", "-j", "rule"): (1, "")}))
    with pytest.raises(Unreadable):
        read_policy_rules(LiveHost(str(tmp_path)))


def test_subnets_of_cni_configurations() -> None:
    assert parse_cni(PODMAN, "/p") == CniConfig("/p", "podman", ("bridge", "portmap"), ("10.88.0.0/16",))
    assert parse_cni(BRIDGE, "/b") == CniConfig("/b", "old", ("bridge",), ("10.22.0.0/16",))
    assert parse_cni(CALICO, "/c").subnets == ("10.1.0.0/16",)
    assert parse_cni(CILIUM, "/c").cilium
    assert not parse_cni(PODMAN, "/p").cilium


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"plugins": 5}', '{"type": "bridge"'])
def test_a_broken_cni_configuration_says_so(text: str) -> None:
    assert parse_cni(text, "/x").broken == "is no CNI configuration"


def test_cni_configurations_come_in_the_order_of_libcni(tmp_path: Path) -> None:
    folder = "etc/cni/net.d"
    files = {
        "87-podman-bridge.conflist": PODMAN,
        "05-cilium.conflist": CILIUM,
        "10-old.conf.cilium_bak": BRIDGE,
        "9.conf": "{",
    }
    found = read_cni_configs(put(tmp_path, {f"{folder}/{name}": text for name, text in files.items()}))
    assert [one.name for one in found.configs] == ["cilium", "podman", ""]
    assert read_cni_configs(LiveHost(str(tmp_path / "empty"))) == CniConfigs()


def test_docker_has_pools_of_its_own_or_those_of_its_file(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert read_docker_pools(host) == DockerPools()
    put(tmp_path, {"usr/bin/dockerd": ""})
    found = read_docker_pools(host)
    assert (found.installed, found.own) == (True, False)
    assert found.pools[0] == "172.17.0.0/16"
    assert found.pools[-1] == "192.168.0.0/16"
    daemon = '{"bip": "10.99.0.1/24", "default-address-pools": [{"base": "10.98.0.0/16", "size": 24}]}'
    put(tmp_path, {"etc/docker/daemon.json": daemon})
    assert read_docker_pools(host) == DockerPools(
        installed=True, pools=("10.98.0.0/16",), bridge=("10.99.0.0/24",), own=True
    )


def test_daemon_json_that_dockerd_would_not_take_is_unreadable() -> None:
    assert parse_daemon("") == ((), ())
    assert parse_daemon('{"log-driver": "json-file", "fixed-cidr": "10.99.0.0/25"}') == ((), ("10.99.0.0/25",))
    for text in ("{", "[]", '{"default-address-pools": [{"size": 24}]}'):
        with pytest.raises(Unreadable, match=r"daemon\.json"):
            parse_daemon(text)


def test_servers_of_mounts() -> None:
    assert parse_mounts(MOUNTS) == (
        ("10.7.0.5", "nfs4"),
        ("fd00:5::1", "nfs"),
        ("10.7.0.6", "cifs"),
        ("10.8.0.1", "lustre"),
        ("10.8.0.2", "lustre"),
        ("10.9.0.1", "ceph"),
        ("10.9.0.2", "ceph"),
        ("10.9.0.3", "ceph"),
        ("10.9.0.4", "ceph"),
        ("gl.example", "fuse.glusterfs"),
    )
    assert parse_mounts("") == ()


def test_time_servers_of_each_program() -> None:
    assert parse_chrony("# server no\nserver 10.1.1.1 iburst\npool pool.example\n peer 10.1.1.2\n") == ("10.1.1.1", "pool.example", "10.1.1.2")  # fmt: skip
    assert parse_timesyncd("[Time]\n#NTP=no\nNTP=10.1.1.3 ntp.example\nFallbackNTP=\n") == ("10.1.1.3", "ntp.example")
    assert parse_chrony("") == parse_timesyncd("") == ()


def test_hosts_of_registry_mirrors() -> None:
    text = 'server = "https://registry.example"\n\n[host."https://10.2.0.1:5000"]\n  capabilities = ["pull"]\n[host."http://m.example"]\n'
    assert parse_hosts_toml(text) == ("registry.example", "10.2.0.1", "m.example")
    assert parse_hosts_toml("") == ()


def test_names_of_etc_hosts() -> None:
    found = HostsFile(
        parse_hosts(
            "127.0.0.1 localhost\n10.3.0.1 API.example api # the VIP\nfe80::1%eth0 x\nbroken line\n\n10.3.0.2 api\n"
        )
    )
    assert found.addresses("api") == ("10.3.0.1", "10.3.0.2")
    assert found.addresses("api.example.") == ("10.3.0.1",)
    assert found.addresses("10.9.9.9") == ("10.9.9.9",)
    assert found.addresses("x") == ("fe80::1",)
    assert found.addresses("elsewhere.example") == ()
    assert parse_hosts("") == {}


def test_a_tree_tells_its_servers(tmp_path: Path) -> None:
    host = put(
        tmp_path,
        {
            "proc/mounts": MOUNTS,
            "etc/hosts": "10.3.0.1 api\n",
            "etc/chrony/chrony.conf": "server 10.1.1.1\n",
            "etc/systemd/timesyncd.conf": "NTP=10.1.1.3\n",
            "etc/containerd/certs.d/_default/hosts.toml": '[host."https://10.2.0.1:5000"]\n',
            "etc/containerd/certs.d/10.2.0.2:5000/hosts.toml": "",
        },
    )
    assert read_storage_servers(host).servers[0] == Server("10.7.0.5", "nfs4 server", "/proc/mounts")
    assert read_hosts_file(host).addresses("api") == ("10.3.0.1",)
    assert [one.host for one in read_time_servers(host).servers] == ["10.1.1.1", "10.1.1.3"]
    assert [(one.host, one.what) for one in read_registry_mirrors(host).servers] == [
        ("10.2.0.2", "registry"),
        ("10.2.0.1", "registry mirror"),
    ]
    empty = LiveHost(str(tmp_path / "empty"))
    assert read_registry_mirrors(empty).servers == read_time_servers(empty).servers == ()
    assert read_hosts_file(empty) == HostsFile()
    with pytest.raises(Unreadable, match="/proc/mounts"):
        read_storage_servers(empty)
