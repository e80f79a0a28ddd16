"""Distribution, kernel, processor, memory, systemd, C library, container: parsers and probes on what hosts really say."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from caasctl.bundle import BundleHost
from caasctl.facts import os as facts
from caasctl.facts.os import Container, Glibc, KernelConfig, Modules, OsRelease, Privileges, Systemd
from caasctl.host import LiveHost
from caasctl.model import Unreadable

UBUNTU = """PRETTY_NAME="Ubuntu 22.04.5 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.5 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
"""
ROCKY = """NAME="Rocky Linux"
VERSION="9.4 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"
"""
CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8358
flags\t\t: fpu vme de pse tsc msr pae vmx ssse3

processor\t: 1
vendor_id\t: GenuineIntel
flags\t\t: fpu vme de pse tsc msr pae vmx ssse3
"""
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm\nCPU implementer\t: 0x41\n"
MEMINFO = """MemTotal:       1056475684 kB
MemFree:        84213456 kB
MemAvailable:   83886080 kB
HugePages_Total:     906
Hugepagesize:    1048576 kB
Hugetlb:        950009856 kB
"""
SYSTEMCTL = "systemd 245 (245.4-4ubuntu3.24)\n+PAM +AUDIT -IDN2 default-hierarchy=hybrid\n"
DPKG = """Package: libbz2-1.0
Status: install ok installed
Version: 1.0.8-5

Package: libc6
Status: install ok installed
Multi-Arch: same
Source: glibc
Version: 2.31-0ubuntu9.16
Replaces: libc6-amd64
Description: GNU C Library: Shared libraries
 Contains the standard libraries.

Package: zlib1g
Version: 1:1.2.13.dfsg-1
"""
CONFIG = 'CONFIG_CC_VERSION_TEXT="gcc 12"\nCONFIG_OVERLAY_FS=m\n# CONFIG_VXLAN is not set\nCONFIG_BPF=y\n'


def tree(folder: Path, files: Mapping[str, str | bytes], *, commands: dict[str, str] | None = None) -> BundleHost:
    """A recorded host with these files and these answers to commands."""
    for path, content in {"/proc/sys/kernel/osrelease": "6.1.0-22-amd64\n", **files}.items():
        place = folder / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    answers = [{"argv": line.split(), "rc": 0, "stdout": out, "stderr": ""} for line, out in (commands or {}).items()]
    (folder / "manifest.json").write_text(json.dumps({"schemaVersion": 1}))
    (folder / "commands.json").write_text(json.dumps(answers))
    return BundleHost(str(folder))


def read(kind: type, host: BundleHost | LiveHost) -> object:
    return next(probe.read(host) for probe in facts.PROBES if probe.fact is kind)


def test_distributions_say_who_they_are() -> None:
    assert facts.parse_os_release(UBUNTU) == OsRelease("ubuntu", ("debian",), "22.04", "Ubuntu 22.04.5 LTS", "jammy")
    rocky = facts.parse_os_release(ROCKY)
    assert (rocky.id, rocky.version_id, rocky.id_like) == ("rocky", "9.4", ("rhel", "centos", "fedora"))


@pytest.mark.parametrize("text", ["", "<html>", "NAME=x\n"])
def test_an_os_release_without_an_id_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="names no ID"):
        facts.parse_os_release(text)


def test_os_release_is_found_in_usr_lib_too(tmp_path: Path) -> None:
    assert read(OsRelease, tree(tmp_path, {"/usr/lib/os-release": ROCKY})) == facts.parse_os_release(ROCKY)
    with pytest.raises(Unreadable, match="does not exist"):
        read(OsRelease, tree(tmp_path / "empty", {}))


@pytest.mark.parametrize(
    ("text", "version"),
    [("5.14.15-custom\n", (5, 14)), ("4.18.0-553.el8_10.x86_64", (4, 18)), ("6.18.44-fc-v595", (6, 18))],
)
def test_a_kernel_release_has_two_numbers(text: str, version: tuple[int, int]) -> None:
    assert facts.parse_release(text).version == version
    assert facts.parse_release(text).release == text.strip()


@pytest.mark.parametrize("text", ["", "linux"])
def test_a_release_without_numbers_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="no kernel release"):
        facts.parse_release(text)


def test_processors_are_counted_and_their_flags_kept() -> None:
    found = facts.parse_cpuinfo(CPUINFO)
    assert (found.vendor, found.count) == ("GenuineIntel", 2)
    assert "vmx" in found.flags
    assert (facts.parse_cpuinfo(ARM).count, facts.parse_cpuinfo(ARM).vendor) == (1, "")
    with pytest.raises(Unreadable, match="no processor"):
        facts.parse_cpuinfo("")


def test_memory_tells_hugepages_of_all_sizes_apart() -> None:
    found = facts.parse_meminfo(MEMINFO)
    assert (found.total_kib, found.available_kib, found.hugetlb_kib) == (1056475684, 83886080, 950009856)
    with pytest.raises(Unreadable, match="MemTotal"):
        facts.parse_meminfo("garbage\n")


def test_systemctl_tells_version_and_hierarchy() -> None:
    assert facts.parse_systemctl_version(SYSTEMCTL) == (245, "hybrid")
    assert facts.parse_systemctl_version("") == (0, "")


def test_systemd_runs_where_it_booted_the_host(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"/run/systemd/system/x": "", "/proc/1/comm": "systemd\n"}
    host = tree(tmp_path, files, commands={"systemctl --version": SYSTEMCTL})
    assert read(Systemd, host) == Systemd(running=True, version=245, default_hierarchy="hybrid")
    assert read(Systemd, tree(tmp_path / "b", files)) == Systemd(running=True, version=0, default_hierarchy="")
    other = tree(tmp_path / "c", {"/proc/1/comm": "runit\n", "/run/systemd/system/x": ""})
    assert read(Systemd, other) == Systemd(running=False, version=0, default_hierarchy="")


def test_a_tree_without_processes_says_nothing_of_systemd(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no process 1"):
        read(Systemd, LiveHost(str(tmp_path)))


def test_glibc_is_told_by_dpkg_by_its_link_or_by_getconf(tmp_path: Path) -> None:
    assert read(Glibc, tree(tmp_path, {"/var/lib/dpkg/status": DPKG})) == Glibc((2, 31), "/var/lib/dpkg/status")
    linked = tree(tmp_path / "b", {"/lib64/libc-2.28.so": ""})
    (tmp_path / "b/root/lib64/libc.so.6").symlink_to("libc-2.28.so")
    assert read(Glibc, linked) == Glibc((2, 28), "/lib64/libc.so.6")
    asked = tree(tmp_path / "c", {}, commands={"getconf GNU_LIBC_VERSION": "glibc 2.34\n"})
    assert read(Glibc, asked) == Glibc((2, 34), "getconf GNU_LIBC_VERSION")
    musl = tree(tmp_path / "d", {"/var/lib/dpkg/status": ""}, commands={"getconf GNU_LIBC_VERSION": "\n"})
    assert read(Glibc, musl) == Glibc((0, 0), "getconf GNU_LIBC_VERSION")
    with pytest.raises(Unreadable):
        read(Glibc, tree(tmp_path / "e", {}))


@pytest.mark.parametrize(
    "path",
    ["/boot/config-6.1.0-22-amd64", "/lib/modules/6.1.0-22-amd64/config", "/usr/lib/ostree-boot/config-6.1.0-22-amd64"],
)
def test_the_kernel_configuration_is_found_where_distributions_put_it(tmp_path: Path, path: str) -> None:
    found = read(KernelConfig, tree(tmp_path, {path: CONFIG}))
    assert found == KernelConfig({"CC_VERSION_TEXT": "gcc 12", "OVERLAY_FS": "m", "BPF": "y"}, path)


def test_the_running_kernels_own_configuration_comes_first(tmp_path: Path) -> None:
    files: Mapping[str, str | bytes] = {
        "/proc/config.gz": gzip.compress(b"CONFIG_BPF=y\n"),
        "/boot/config-6.1.0-22-amd64": CONFIG,
    }
    assert read(KernelConfig, tree(tmp_path, files)) == KernelConfig({"BPF": "y"}, "/proc/config.gz")


def test_a_broken_configuration_gives_way_to_the_next_and_is_named_where_there_is_none(tmp_path: Path) -> None:
    broken = {"/proc/config.gz": gzip.compress(CONFIG.encode())[:30]}
    found = read(KernelConfig, tree(tmp_path, {**broken, "/boot/config-6.1.0-22-amd64": CONFIG}))
    assert isinstance(found, KernelConfig)
    assert found.source == "/boot/config-6.1.0-22-amd64"
    with pytest.raises(Unreadable, match=r"/proc/config.gz: is no gzip file"):
        read(KernelConfig, tree(tmp_path / "b", broken))
    with pytest.raises(Unreadable, match=r"no /proc/config\.gz, no /boot/config-6\.1\.0-22-amd64"):
        read(KernelConfig, tree(tmp_path / "c", {}))


def test_modules_are_loaded_built_in_or_on_disk(tmp_path: Path) -> None:
    folder = "/usr/lib/modules/6.1.0-22-amd64"
    host = tree(
        tmp_path,
        {
            "/proc/modules": "br_netfilter 32768 0 - Live 0x0\nbridge 311296 1 br_netfilter, Live 0x0\n",
            "/sys/module/br_netfilter/initstate": "live",
            "/sys/module/loop/parameters/max_loop": "0",
            f"{folder}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
            f"{folder}/modules.dep": "kernel/drivers/vhost/vhost-vsock.ko.zst: kernel/drivers/vhost/vhost.ko.zst\n",
        },
    )
    found = read(Modules, host)
    assert found == Modules(
        frozenset({"br_netfilter", "bridge"}), frozenset({"loop", "ext4"}), frozenset({"vhost_vsock"}), folder
    )


def test_without_a_list_of_built_in_modules_the_configuration_tells(tmp_path: Path) -> None:
    found = read(
        Modules, tree(tmp_path, {"/proc/config.gz": gzip.compress(b"CONFIG_OVERLAY_FS=y\nCONFIG_VHOST_NET=m\n")})
    )
    assert found == Modules(frozenset(), frozenset({"overlay"}), frozenset(), "")


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"/run/systemd/container": "lxc\n"}, "lxc"),
        ({"/proc/1/environ": "PATH=/bin\0container=podman\0TERM=x\0"}, "podman"),
        ({"/.dockerenv": ""}, "docker"),
        ({"/run/.containerenv": ""}, "podman"),
        ({"/proc/1/cgroup": "12:pids:/kubepods/burstable/pod1\n"}, "kubernetes"),
        ({"/.dockerenv": "", "/proc/2/comm": "kthreadd\n"}, ""),  # an image that became a micro-VM's root file system
        # The same, of a real one: systemd's file says docker, and the kernel's threads are there.
        ({"/run/systemd/container": "docker\n", "/proc/2/comm": "kthreadd\n"}, ""),
        ({"/run/systemd/container": "docker\n", "/proc/2/comm": "sh\n"}, "docker"),
        ({"/proc/2/comm": "bash\n"}, "container"),
    ],
)
def test_a_container_is_told_from_a_machine(tmp_path: Path, files: dict[str, str | bytes], kind: str) -> None:
    found = read(Container, tree(tmp_path, files))
    assert isinstance(found, Container)
    assert found.kind == kind


def test_where_nothing_tells_a_container_from_a_machine_it_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="nor does another sign"):
        read(Container, tree(tmp_path, {}))


@pytest.mark.parametrize(("number", "kind"), [("4026531836", ""), ("4026532201", "container")])
def test_the_pid_namespace_decides_where_nothing_else_does(tmp_path: Path, number: str, kind: str) -> None:
    host = tree(tmp_path, {"/proc/self/ns/x": ""})
    (tmp_path / "root/proc/self/ns/pid").symlink_to(f"pid:[{number}]")
    found = read(Container, host)
    assert isinstance(found, Container)
    assert found.kind == kind


@pytest.mark.parametrize(("uid", "root"), [("0", True), ("1000", False)])
def test_the_effective_user_counts(tmp_path: Path, uid: str, root: bool) -> None:  # noqa: FBT001
    host = tree(tmp_path, {"/proc/self/status": f"Name:\tx\nUid:\t1000\t{uid}\t{uid}\t{uid}\n"})
    assert read(Privileges, host) == Privileges(root)


def test_a_status_without_user_ids_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no Uid"):
        read(Privileges, tree(tmp_path, {"/proc/self/status": "Name:\tx\n"}))


def test_this_machine_answers_every_question_that_a_machine_can_answer() -> None:
    host = LiveHost()
    for kind in (OsRelease, facts.Kernel, facts.Cpu, facts.Memory, Modules, Glibc, Container, Privileges):
        assert isinstance(read(kind, host), kind)
