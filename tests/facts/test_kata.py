"""Kata's trees, configurations and shims; KVM, vhost and /dev/shm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts import kata, kata_host
from caasctl.facts.kata import KataConfig, KataTree
from caasctl.facts.kata_host import Kvm, KvmOpens, Machine, Shm, Vhost
from caasctl.host import LiveHost
from caasctl.model import Unreadable

BASE = "/opt/kata/share/defaults/kata-containers"
SHIM = "/opt/kata/bin/containerd-shim-kata-v2"
CONFIG = f"""# Copyright (c) 2017-2019 Intel Corporation
[hypervisor.qemu]
path = "/opt/kata/bin/qemu-system-x86_64"
kernel = "/opt/kata/share/kata-containers/vmlinux.container"
image = "/opt/kata/share/kata-containers/kata-containers.img"
# initrd = "/opt/kata/share/kata-containers/kata-containers-initrd.img"
machine_type = "q35"
firmware = ""
virtio_fs_daemon = "/opt/kata/libexec/virtiofsd"
valid_hypervisor_paths = ["{SHIM}"]
#enable_hugepages = true

[agent.kata]
kernel_modules = []
path = "/elsewhere"
"""
MOUNTS = "tmpfs /run tmpfs rw,size=100k 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev,size=24684096k,inode64 0 0\n"
MEMINFO = "MemTotal:       1056489524 kB\nMemAvailable:   90000000 kB\nHugePages_Total:     906\nHugetlb:        950009856 kB\n"
FLAGS = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx hypervisor lm\n"


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


def bundle(folder: Path, manifest: dict[str, object], commands: list[dict[str, object]]) -> BundleHost:
    (folder / "root").mkdir(exist_ok=True, parents=True)
    (folder / "manifest.json").write_text(json.dumps({"schemaVersion": 1, **manifest}))
    (folder / "commands.json").write_text(json.dumps(commands))
    return BundleHost(str(folder))


def test_a_release_s_tree_is_found_with_both_shims(tmp_path: Path) -> None:
    rust = "/opt/kata/runtime-rs/bin/containerd-shim-kata-v2"
    configs = (
        f"{BASE}/configuration-clh.toml",
        f"{BASE}/configuration-qemu.toml",
        f"{BASE}/runtimes/qemu/configuration-qemu.toml",
        f"{BASE}/runtime-rs/configuration-qemu-runtime-rs.toml",
    )
    files = {SHIM: "\x7fELF", rust: "\x7fELF", "/opt/kata/VERSION": "3.19.1\n", **dict.fromkeys(configs, CONFIG)}
    found = kata.read_trees(tree(tmp_path, {**files, f"{BASE}/configuration.toml": CONFIG}))
    assert found.trees == (KataTree("/opt/kata", "3.19.1", SHIM, rust, configs),)
    one = found.at("/opt/kata/")
    assert one
    assert one.release == (3, 19, 1)
    assert one.config("kata-qemu") == configs[2]
    assert one.config("kata-qemu", rust=True) == configs[3]
    assert (one.config("kata-clh"), one.config("kata-qemu-nvidia-gpu")) == (configs[0], "")


def test_a_link_to_a_versioned_tree_is_followed(tmp_path: Path) -> None:
    tree(
        tmp_path, {"/opt/kata-4.1.0/runtime-rs/bin/containerd-shim-kata-v2": "x", "/opt/kata-4.1.0/VERSION": "4.1.0\n"}
    )
    (tmp_path / "opt/kata").symlink_to("kata-4.1.0")
    found = kata.read_trees(LiveHost(str(tmp_path)))
    assert [(one.prefix, one.version, one.go_shim) for one in found.trees] == [
        ("/opt/kata", "4.1.0", ""),
        ("/opt/kata-4.1.0", "4.1.0", ""),
    ]


def test_a_distribution_s_package_has_no_version_file(tmp_path: Path) -> None:
    config = "/usr/share/defaults/kata-containers/configuration-qemu.toml"
    found = kata.read_trees(tree(tmp_path, {"/usr/bin/containerd-shim-kata-v2": "x", config: CONFIG}))
    assert found.trees == (KataTree("/usr", "", "/usr/bin/containerd-shim-kata-v2", "", (config,)),)
    assert found.trees[0].release == ()


def test_links_in_usr_local_are_no_tree(tmp_path: Path) -> None:
    assert kata.read_trees(tree(tmp_path, {"/usr/local/bin/containerd-shim-kata-v2": "x"})).trees == ()


def test_an_empty_tree_has_no_kata(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert (kata.read_trees(host).trees, kata.read_configs(host).configs, kata.read_shim_glibc(host).needs) == (
        (),
        (),
        (),
    )


PARTS = (
    ("path", "/opt/kata/bin/qemu-system-x86_64"),
    ("kernel", "/opt/kata/share/kata-containers/vmlinux.container"),
    ("image", "/opt/kata/share/kata-containers/kata-containers.img"),
    ("virtio_fs_daemon", "/opt/kata/libexec/virtiofsd"),
)


def test_a_configuration_names_its_parts() -> None:
    assert kata.parse_config("x", CONFIG) == KataConfig("x", "qemu", PARTS)
    assert kata.parse_config("x", "[hypervisor.clh]\nenable_hugepages = true\n") == KataConfig(
        "x", "clh", hugepages=True
    )
    assert kata.parse_config("x", "") == kata.parse_config("x", "[hypervisor.qemu\npath = ???") == KataConfig("x", "")


def test_a_drop_in_is_laid_over_its_configuration() -> None:
    main = '[hypervisor.qemu]\nenable_annotations = ["path", \'.*\'] # all\ncold_plug_vfio = "no-port"\n[runtime]\ncreate_container_timeout = 60\n'
    found = kata.parse_config("x", main)
    assert (found.annotations, found.cold_plug, found.hot_plug, found.create_timeout_s) == (
        ("path", ".*"),
        "no-port",
        "",
        60,
    )
    over = '[hypervisor.qemu]\nenable_annotations = ["kernel_params"]\ncold_plug_vfio = "root-port"\n'
    found = kata.parse_config("x", main, over, "[agent.kata]\ncreate_container_timeout = 7\n")
    assert (found.annotations, found.cold_plug, found.create_timeout_s) == (("kernel_params",), "root-port", 60)
    assert kata.parse_config("x", "[agent.kata]\ncreate_container_timeout = 7\n").create_timeout_s == 7
    assert kata.parse_config("x", "[runtime]\ncreate_container_timeout = many\n").create_timeout_s == 0


def test_caasctls_own_configuration_is_read_with_its_drop_ins(tmp_path: Path) -> None:
    own = "/etc/kata-containers/caasctl/kata-qemu"
    files = {
        f"{BASE}/configuration-qemu.toml": CONFIG,
        f"{own}/configuration-qemu.toml": CONFIG,
        f"{own}/config.d/60-caasctl.toml": "[hypervisor.qemu]\nenable_hugepages = true\n",
        f"{own}/config.d/70-mine.toml": "[runtime]\ncreate_container_timeout = 9\n",
    }
    found = kata.read_configs(tree(tmp_path, files)).in_effect("kata-qemu", None)
    assert found is not None
    assert (found.path, found.hugepages, found.create_timeout_s) == (f"{own}/configuration-qemu.toml", True, 9)
    assert found.drop_ins == ("60-caasctl.toml", "70-mine.toml")


def test_what_caasctl_unpacked_is_known_by_the_link_that_leads_there(tmp_path: Path) -> None:
    there = "/opt/kata-4.1.0-0123456789ab"
    files = {f"{there}/bin/{kata.SHIM}": "x", f"{there}/.caasctl.json": '{"sha256": "%s"}' % ("a" * 64), f"{there}.partial/bin/{kata.SHIM}": "x",
             f"/opt/kata.before-caasctl/bin/{kata.SHIM}": "x", f"/opt/kata-mine/bin/{kata.SHIM}": "x"}  # fmt: skip
    host = tree(tmp_path, files)
    host.link("/opt/kata", "kata-4.1.0-0123456789ab")
    assert [(one.prefix, one.source) for one in kata.read_trees(host).trees] == [
        ("/opt/kata", "a" * 64),
        ("/opt/kata-mine", ""),
    ]


def test_the_machine_is_told_by_the_kernel_or_by_uname(tmp_path: Path) -> None:
    told = kata_host.read_machine(tree(tmp_path / "a", {"/proc/sys/kernel/arch": "aarch64\n"}))
    assert (told.name, told.word, Machine("x86_64").word, Machine("s390x").word) == (
        "aarch64",
        "arm64",
        "amd64",
        "s390x",
    )
    uname = {"argv": ["uname", "-m"], "rc": 0, "stdout": "x86_64\n", "stderr": ""}
    assert kata_host.read_machine(bundle(tmp_path / "b", {}, [uname])) == Machine("x86_64")
    with pytest.raises(Unreadable):
        kata_host.read_machine(bundle(tmp_path / "c", {}, [uname | {"stdout": ""}]))
    with pytest.raises(Unreadable, match=r"the processor's architecture: .* neither dpkg nor a loader"):
        kata_host.read_machine(tree(tmp_path / "d", {"/etc/x": ""}))


DPKG = "Package: bash\nArchitecture: all\n\nPackage: dpkg\nStatus: install ok installed\nArchitecture: {}\nVersion: 1.21.22\n\n"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"/var/lib/dpkg/status": DPKG.format("arm64"), "/lib64/ld-linux-x86-64.so.2": "x"}, "aarch64"),
        ({"/var/lib/dpkg/status": DPKG.format("ppc64el")}, "ppc64le"),
        ({"/var/lib/dpkg/status": "", "/var/lib/dpkg/arch": "amd64\narm64\n"}, "x86_64"),
        ({"/lib64/ld-linux-x86-64.so.2": "x"}, "x86_64"),
        ({"/lib/ld-linux-aarch64.so.1": "x"}, "aarch64"),
        ({"/lib/ld-linux-aarch64.so.1": "x", "/lib64/ld-linux-x86-64.so.2": "x"}, ""),
    ],
)
def test_a_disk_tells_its_machine_by_dpkg_or_by_its_loader(tmp_path: Path, files: dict[str, str], name: str) -> None:
    host = tree(tmp_path, files)
    if name:
        assert kata_host.read_machine(host) == Machine(name)
    else:
        with pytest.raises(Unreadable):
            kata_host.read_machine(host)


def test_zstd_is_found_where_it_is(tmp_path: Path) -> None:
    assert kata_host.read_zstd(tree(tmp_path / "a", {"/usr/bin/zstd": "x"})).path == "/usr/bin/zstd"
    assert kata_host.read_zstd(tree(tmp_path / "b", {"/usr/bin/xz": "x"})).path == ""


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = f"{BASE}/configuration-qemu.toml"
    files = {path: CONFIG, "/opt/kata/bin/qemu-system-x86_64": "x", "/opt/kata/libexec/virtiofsd": "x"}
    (found,) = kata.read_configs(tree(tmp_path, {**files, f"{BASE}/configuration-fc.toml": CONFIG})).configs
    assert found == KataConfig(
        path,
        "qemu",
        PARTS,
        (
            "kernel /opt/kata/share/kata-containers/vmlinux.container",
            "image /opt/kata/share/kata-containers/kata-containers.img",
        ),
    )


def test_the_highest_symbol_version_counts() -> None:
    assert kata.parse_needs("GLIBC_2.2.5\nGLIBC_2.34\nGLIBC_2.9\nGLIBC_2.32\n") == "2.34"
    assert kata.parse_needs("") == ""
    assert kata.parse_needs("GLIBC_PRIVATE") == ""


def test_a_real_program_s_need_is_read_with_grep() -> None:
    done = LiveHost().query("grep", "-aom1", "GLIBC_2[.][0-9][0-9]*", "/usr/bin/dd")
    assert kata.parse_needs(done.stdout).startswith("2.")


def test_the_shim_s_need_is_recorded_and_unknown_in_a_bare_tree(tmp_path: Path) -> None:
    stat = {f"stat {SHIM}": {"kind": "file", "mode": "0755", "size": 60000000}}
    grep: dict[str, object] = {
        "argv": ["grep", "-aom1", "GLIBC_2[.][0-9][0-9]*", SHIM],
        "stdout": "GLIBC_2.2\nGLIBC_2.34\n",
    }
    assert kata.read_shim_glibc(bundle(tmp_path / "a", {"stats": stat}, [grep])).needs == ((SHIM, "2.34"),)
    grep |= {"rc": 1, "stdout": ""}
    assert kata.read_shim_glibc(bundle(tmp_path / "b", {"stats": stat}, [grep])).needs == ((SHIM, ""),)
    grep |= {"rc": 2, "stderr": "grep: permission denied"}
    with pytest.raises(Unreadable, match="permission denied"):
        kata.read_shim_glibc(bundle(tmp_path / "c", {"stats": stat}, [grep]))
    with pytest.raises(Unreadable):
        kata.read_shim_glibc(tree(tmp_path / "d", {SHIM: "\x7fELF"}))


def test_devices_of_a_tree_without_dev_are_not_known(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    for read in (kata_host.read_kvm, kata_host.read_kvm_opens, kata_host.read_vhost):
        with pytest.raises(Unreadable, match="no /dev"):
            read(host)


def test_devices_that_are_absent_are_a_value(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    host = tree(tmp_path, {"/sys/module/kvm_intel/parameters/nested": "Y\n", "/proc/cpuinfo": FLAGS})
    assert kata_host.read_kvm(host) == Kvm(device=False, module="kvm_intel", nested="Y", guest=True)
    assert kata_host.read_kvm_opens(host) == KvmOpens("No such file or directory")
    assert kata_host.read_vhost(host) == Vhost(vsock=False, net=False)


@pytest.mark.parametrize(
    ("loaded", "told"),
    [(("kvm", "kvm_amd", "kvm_pvm"), "kvm_amd"), (("kvm", "kvm_pvm"), "kvm_pvm"), (("kvm",), "kvm"), (("ext4",), "")],
)
def test_the_module_that_does_the_work_is_told(tmp_path: Path, loaded: tuple[str, ...], told: str) -> None:
    (tmp_path / "dev").mkdir()
    host = tree(tmp_path, {f"/sys/module/{name}/refcnt": "1\n" for name in loaded})
    assert kata_host.read_kvm(host).module == told


def test_a_plain_file_is_no_device(tmp_path: Path) -> None:
    assert not kata_host.read_vhost(tree(tmp_path, {"/dev/vhost-net": "", "/dev/kvm": ""})).net
    assert not kata_host.read_kvm(LiveHost(str(tmp_path))).device


def test_a_recorded_kvm_opens_or_says_why(tmp_path: Path) -> None:
    stats = {f"stat /dev/{name}": {"kind": "char", "mode": "0660"} for name in ("kvm", "vhost-net", "vhost-vsock")}
    dd: dict[str, object] = {"argv": ["dd", "if=/dev/kvm", "of=/dev/null", "count=0", "status=none"], "rc": 0}
    host = bundle(tmp_path / "a", {"stats": stats}, [dd])
    assert (kata_host.read_kvm_opens(host), kata_host.read_vhost(host)) == (KvmOpens(), Vhost(vsock=True, net=True))
    dd |= {"rc": 1, "stderr": "dd: failed to open '/dev/kvm': No such device\n"}
    assert kata_host.read_kvm_opens(bundle(tmp_path / "b", {"stats": stats}, [dd])) == KvmOpens("No such device")
    dd |= {"rc": 127, "stderr": ""}
    with pytest.raises(Unreadable, match="no dd"):
        kata_host.read_kvm_opens(bundle(tmp_path / "c", {"stats": stats}, [dd]))


def test_dd_s_words() -> None:
    assert kata_host.parse_open_error("dd: failed to open '/dev/kvm': Permission denied\n") == "Permission denied"
    assert kata_host.parse_open_error("") == "failed without a word"


def test_vmware_s_transport_is_seen(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    host = tree(tmp_path, {"/sys/module/vmw_vsock_vmci_transport/refcnt": "1\n"})
    assert kata_host.read_vhost(host).vmware == ("vmw_vsock_vmci_transport",)
    host = tree(tmp_path, {"/sys/module/hv_sock/refcnt": "1\n", "/sys/module/vmw_vsock_virtio_transport/refcnt": "1\n"})
    assert kata_host.read_vhost(host).of_guest == ("vmw_vsock_virtio_transport", "hv_sock")


@pytest.mark.parametrize(
    ("options", "kib"),
    [
        ("rw,size=24684096k", 24684096),
        ("rw,nosuid", 500),
        ("rw,size=90%", 900),
        ("rw,size=2g", 2097152),
        ("size=2048", 2),
    ],
)
def test_sizes_of_dev_shm(options: str, kib: int) -> None:
    assert kata_host.parse_shm_size(f"tmpfs /dev/shm tmpfs {options} 0 0\n", 1000) == kib


def test_no_mount_at_dev_shm_is_zero() -> None:
    assert kata_host.parse_shm_size("", 1000) == 0
    assert kata_host.parse_shm_size("broken line\n/dev/sda1 /dev/shm ext4 rw 0 0\n", 1000) == 0


def test_dev_shm_with_what_hugepages_took(tmp_path: Path) -> None:
    host = tree(tmp_path, {"/proc/mounts": MOUNTS, "/proc/meminfo": MEMINFO})
    assert kata_host.read_shm(host) == Shm(24684096, 1056489524, 950009856)
    with pytest.raises(Unreadable):
        kata_host.read_shm(LiveHost(str(tmp_path / "nowhere")))
    with pytest.raises(Unreadable):
        kata_host.read_shm(tree(tmp_path, {"/proc/meminfo": "nonsense\n"}))


def test_this_machine_recorded_says_the_same_as_this_machine(tmp_path: Path) -> None:
    host = RecordingHost(LiveHost())
    live = [probe.read(host) for probe in (*kata.PROBES, *kata_host.PROBES)]
    host.save(str(tmp_path / "host"), "here")
    replayed = BundleHost(str(tmp_path / "host"))
    assert [probe.read(replayed) for probe in (*kata.PROBES, *kata_host.PROBES)] == live


def test_the_files_that_containerds_handlers_name_are_read_wherever_they_are(tmp_path: Path) -> None:
    files = {
        "etc/containerd/config.toml": 'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata.options]\n'
        '  ConfigPath = "/srv/kata/a.toml"\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.b.options]\n  ConfigPath = "/srv/gone.toml"\n',
        "srv/kata/a.toml": '[hypervisor.qemu]\npath = "/srv/qemu"\nkernel = "/srv/vmlinux"\n',
        "etc/kata-containers/configuration.toml": '[hypervisor.clh]\npath = "/srv/clh"\n',
        "srv/qemu": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = kata.read_named(LiveHost(str(tmp_path)))
    assert [(one.path, one.hypervisor, one.missing) for one in found.configs] == [
        ("/srv/kata/a.toml", "qemu", ("kernel /srv/vmlinux",)),
        ("/etc/kata-containers/configuration.toml", "clh", ("path /srv/clh",)),
    ]
    assert found.absent == ("/srv/gone.toml",)
    assert found.of("/srv/gone.toml") is None
    assert kata.read_named(LiveHost(str(tmp_path / "empty"))) == kata.NamedKataConfigs()
