"""Network and Kata as a whole: a host that is known by its files only, and one of which nothing is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caasctl import engine
from caasctl.bundle import BundleHost
from caasctl.checks import CHECKS
from caasctl.host import LiveHost
from caasctl.model import Finding, Level
from caasctl.profile_load import load
from caasctl.protocol import Reader

SHIM = "/opt/kata/bin/containerd-shim-kata-v2"
KATA = "/opt/kata/share/defaults/kata-containers"
# A GPU host with IPv6 off on the command line, most of its memory in hugepages, and a Kata that is too new for its libc.
FILES = {
    "/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    "ens3\t00000000\t010013AC\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "ens3\t000013AC\t00000000\t0001\t0\t0\t100\t00F8FFFF\t0\t0\t0\n",
    "/proc/net/fib_trie": "Main:\n  |-- 172.19.2.41\n     /32 host LOCAL\nLocal:\n  |-- 172.19.2.41\n     /32 host LOCAL\n",
    "/proc/net/dev": "Inter-|   Receive\n face |bytes\n    lo: 1\n  ens3: 1\n",
    "/proc/net/tcp": "  sl  local_address\n",
    "/sys/class/net/ens3/mtu": "9000\n",
    "/sys/class/net/ens3/flags": "0x1003\n",
    "/sys/class/net/ens3/operstate": "up\n",
    "/sys/module/kvm_intel/parameters/nested": "Y\n",
    "/proc/cmdline": "BOOT_IMAGE=/boot/vmlinuz-5.14.15-custom ro ipv6.disable=1 hugepagesz=1G hugepages=906\n",
    "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: lm vmx\n",
    "/proc/sys/net/ipv4/ip_forward": "0\n",
    "/proc/sys/net/ipv4/conf/all/rp_filter": "1\n",
    "/proc/sys/net/ipv4/conf/default/rp_filter": "1\n",
    "/etc/sysctl.d/90-hardening.conf": "# site\nnet.ipv4.conf.all.rp_filter = 1\n",
    "/etc/resolv.conf": "nameserver 127.0.0.53\n",
    "/run/systemd/resolve/resolv.conf": "nameserver 172.19.0.2\n",
    "/etc/ufw/ufw.conf": "ENABLED=yes\n",
    "/etc/default/ufw": 'DEFAULT_INPUT_POLICY="DROP"\nDEFAULT_FORWARD_POLICY="DROP"\n',
    "/etc/ufw/user.rules": "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n",
    "/proc/mounts": "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n",
    "/proc/meminfo": "MemTotal:       1056489524 kB\nMemAvailable:   90000000 kB\nHugetlb:        950009856 kB\n",
    "/var/lib/dpkg/status": "Package: libc6\nStatus: install ok installed\nVersion: 2.31-0ubuntu9.2\n",
    "/opt/kata/VERSION": "3.19.1\n",
    SHIM: "x",
    f"{KATA}/configuration-qemu.toml": '[hypervisor.qemu]\nkernel = "/opt/kata/share/kata-containers/vmlinux.container"\n',
    f"{KATA}/configuration-clh.toml": "[hypervisor.clh]\n",
}


def place(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def judge(host: Reader) -> dict[tuple[str, str], Finding]:
    mine = [check for check in CHECKS if check.topic in ("network", "kata")]
    found = engine.examine(engine.collect(host), load("single-node"), checks=mine)
    return {(finding.id, finding.subject): finding for finding in found}


@pytest.mark.parametrize("recorded", [False, True])
def test_a_host_known_by_its_files_is_judged_without_a_command(tmp_path: Path, *, recorded: bool) -> None:
    place(tmp_path / "root" if recorded else tmp_path, FILES)
    if recorded:
        (tmp_path / "manifest.json").write_text(json.dumps({"schemaVersion": 1}))
    found = judge(BundleHost(str(tmp_path)) if recorded else LiveHost(str(tmp_path)))
    assert {key: finding.level for key, finding in found.items()} == {
        ("network.default_route", ""): Level.PASS,
        ("network.node_ip", ""): Level.PASS,
        ("network.mtu", ""): Level.PASS,
        ("network.ip_forward", ""): Level.FAIL,
        ("network.rp_filter", ""): Level.WARN,
        ("network.ipv6_disabled", ""): Level.WARN,
        ("network.firewall", "ufw"): Level.FAIL,
        ("network.forward_policy", ""): Level.PASS,
        ("network.resolv_conf", ""): Level.PASS,
        ("network.proxy", ""): Level.PASS,
        ("network.cidr_valid", "podCIDR"): Level.PASS,
        ("network.cidr_valid", "serviceCIDR"): Level.PASS,
        ("network.cidrs_disjoint", ""): Level.PASS,
        ("network.pod_cidr_free", ""): Level.PASS,
        ("network.service_cidr_free", ""): Level.PASS,
        ("network.resolvers_outside", ""): Level.PASS,
        ("network.infrastructure_outside", ""): Level.PASS,
        ("network.node_mask", "nodeCIDRMaskSize"): Level.PASS,
        ("kata.tree", "kata-qemu"): Level.FAIL,
        ("kata.tree", "kata-clh"): Level.PASS,
        ("kata.glibc", SHIM): Level.FAIL,
        ("kata.kvm", ""): Level.UNKNOWN,
        ("kata.vsock_conflict", ""): Level.UNKNOWN,
        ("kata.vhost", ""): Level.UNKNOWN,
        ("kata.shm", ""): Level.WARN,
        **{
            (f"kata.{check}", handler): Level.PASS
            for check in ("annotations", "timeouts")
            for handler in ("kata-qemu", "kata-clh")
        },
    }
    assert found["network.node_ip", ""].found == "172.19.2.41/21 on ens3"
    assert found["network.rp_filter", ""].evidence[0].source == "/etc/sysctl.d/90-hardening.conf:2"
    assert found["network.resolv_conf", ""].found == "172.19.0.2 (behind 127.0.0.53)"
    assert found["kata.glibc", SHIM].found == "the shim needs 2.34, the host has 2.31"
    assert "906.0 GiB are hugepages" in found["kata.shm", ""].found


def test_of_an_empty_tree_nothing_is_said_to_fail(tmp_path: Path) -> None:
    levels = {finding.level for finding in judge(LiveHost(str(tmp_path))).values()}
    assert Level.FAIL not in levels
    assert Level.UNKNOWN in levels
