"""PCI functions in detail, what the host uses of them, VFIO's nodes and NVIDIA's leftovers, from trees as hardware has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab import pci_hosts, pci_tree
from tests.lab.pci_tree import ACS_OFF, ACS_ON, GIB, MIB, Function, build, gpu, link, port, text

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts.gpu_details import PciDetail, PciLink, read_details
from caasctl.facts.gpu_host import parse_mounts, read_use
from caasctl.facts.gpu_leftovers import PROBES as LEFTOVERS
from caasctl.facts.gpu_leftovers import NvidiaLeftovers, parse_packages
from caasctl.facts.gpu_memlock import PROBES as MEMLOCK
from caasctl.facts.gpu_memlock import Memlock
from caasctl.facts.gpu_vfio import PROBES as VFIO
from caasctl.facts.gpu_vfio import Holder, VfioNodes, idle
from caasctl.host import LiveHost
from caasctl.syntax import pci
from caasctl.syntax.pci import Bar, Port

# The H100 of a real virtual machine.
H100 = """0x0000102002000000 0x0000102002ffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000100000000000 0x0000101fffffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000102000000000 0x0000102001ffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
"""
ROOT, CARD = "0000:30:02.0", "0000:31:00.0"
MOUNTS = r"""22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
23 22 253:0 / /var/lib/my\040data rw - xfs /dev/mapper/vg-data rw
24 22 0:25 / /sys rw - sysfs sysfs rw
25 22 0:33 /@home /home rw - btrfs /dev/sda1 rw
broken
"""


def read(top: Path, address: str = CARD) -> PciDetail:
    return read_details(LiveHost(str(top))).of(address)


def test_bars_of_a_real_h100() -> None:
    assert pci.bars(H100) == (
        Bar(0, 16 * MIB, prefetchable=True),
        Bar(2, 128 * GIB, prefetchable=True),
        Bar(4, 32 * MIB, prefetchable=True),
    )
    assert pci.bars("") == pci.bars("no numbers here\n") == ()


def test_a_bar_without_an_address_is_not_assigned() -> None:
    (bar,) = pci.bars("0x0000000000000000 0x00000007ffffffff 0x000000002014220c\n")
    assert (bar.size, bar.assigned) == (32 * GIB, False)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (pci_tree.config(ACS_ON), Port("root", 0x5F, 0x1D)),
        (pci_tree.config(ACS_OFF), Port("root", 0x5F, 0)),
        (pci_tree.config(None), Port("root")),
        (bytes(256), Port()),
        (bytes(64), None),
        (b"", None),
        (b"\xff" * 4096, Port()),
    ],
)
def test_a_ports_configuration_space(config: bytes, said: Port | None) -> None:
    assert pci.port(config) == said


def test_what_a_port_lacks_is_what_it_could_and_does_not() -> None:
    assert Port("root", 0x5F, 0x1D).lacks(0x1D) == 0
    assert Port("root", 0x5F, 0x10).lacks(0x1D) == 0x0D
    assert Port("root").lacks(0x1D) == 0


def test_a_card_below_its_root_port(tmp_path: Path) -> None:
    files = {"boot_vga": "1\n", "sriov_totalvfs": "16\n", "sriov_numvfs": "2\n", "vfio-dev/vfio3/dev": "511:3\n"}
    links = {f"consumer:pci:{CARD[:-1]}1": "/sys/devices/virtual/devlink"}
    card = Function(CARD, "10de:2236", "030200", "vfio-pci", "25", (ROOT,), 0, (16 * MIB, 32 * GIB), (1,),
                    pci_tree.GEN4_X16, files=files, links=links)  # fmt: skip
    details = read_details(LiveHost(str(build(tmp_path, (port(ROOT), card)))))
    assert details.of(CARD) == PciDetail(
        upstream=(ROOT,),
        complete=True,
        bars=(Bar(0, 16 * MIB), Bar(1, 32 * GIB, assigned=False, prefetchable=True)),
        link=PciLink("16.0 GT/s PCIe", 16, "16.0 GT/s PCIe", 16),
        resets=("flr", "bus"),
        power_state="D0",
        vfs=2,
        max_vfs=16,
        boot_vga=True,
        vfio_device="vfio3",
        consumers=(f"{CARD[:-1]}1",),
    )
    assert details.ports == {ROOT: Port("root", 0x5F, 0x1D)}
    assert details.of("0000:99:00.0") == PciDetail()


def test_a_virtual_function_is_not_asked_for_what_it_does_not_have(tmp_path: Path) -> None:
    virtual = Function("0000:31:00.4", "10de:2236", "030200", "", "40", (ROOT,), bars=(GIB,),
                       links={"physfn": f"/sys/devices/pci0000:30/{ROOT}/{CARD}"})  # fmt: skip
    build(tmp_path, (gpu(CARD, "10de:2236", "25", (ROOT,)), virtual))
    found = read(tmp_path, "0000:31:00.4")
    assert (found.physfn, found.bars, found.link) == (CARD, (), None)


def test_a_device_that_sleeps_is_not_woken_to_ask_for_its_link(tmp_path: Path) -> None:
    build(tmp_path, (gpu(CARD, "10de:2236", "25", (ROOT,), files={"power_state": "D3hot\n"}),))
    assert read(tmp_path).link is None


def test_registers_of_all_ones_are_a_dead_link(tmp_path: Path) -> None:
    card = Function(CARD, "10de:2236", "030200", link=("Unknown", "63", "Unknown", "63"))
    found = read(build(tmp_path, (card,))).link
    assert found is not None
    assert found.dead


def test_a_file_that_cannot_be_read_is_named_and_loses_nothing_else(tmp_path: Path) -> None:
    build(tmp_path, (gpu(CARD, "10de:2236", "25", (ROOT,)),))
    there = tmp_path / f"sys/bus/pci/devices/{CARD}/current_link_width"
    there.unlink()
    there.mkdir()
    found = read(tmp_path)
    assert (found.unread, found.link, found.resets) == (("current_link_width",), None, ("flr", "bus"))


def test_a_folder_made_by_hand_is_not_complete(tmp_path: Path) -> None:
    text(tmp_path, f"/sys/bus/pci/devices/{CARD}/uevent", "PCI_CLASS=30200\n")
    assert read(tmp_path) == PciDetail()
    assert read_details(LiveHost(str(tmp_path / "none"))).functions == {}


def test_a_folder_that_cannot_be_listed_hides_no_other(tmp_path: Path) -> None:
    host = RecordingHost(LiveHost(str(pci_hosts.write(tmp_path / "host", pci_hosts.FOUR_A10))))
    read_details(host)
    host.save(str(tmp_path / "recorded"), "host")
    manifest = json.loads((tmp_path / "recorded/manifest.json").read_text())
    manifest["unread"][f"list /sys/bus/pci/devices/{CARD}"] = "input/output error"
    (tmp_path / "recorded/manifest.json").write_text(json.dumps(manifest))
    found = read_details(BundleHost(str(tmp_path / "recorded")))
    assert (found.of(CARD).complete, found.of(CARD).unread) == (False, (".",))
    assert found.of("0000:ca:00.0").complete


def test_mounts_of_a_real_file() -> None:
    assert parse_mounts(MOUNTS) == (
        ("259:2", "/dev/nvme0n1p2", "/"),
        ("253:0", "/dev/mapper/vg-data", "/var/lib/my data"),
        ("0:25", "sysfs", "/sys"),
        ("0:33", "/dev/sda1", "/home"),
    )
    assert parse_mounts("") == ()


def test_the_functions_behind_mounted_disks(tmp_path: Path) -> None:
    nvme, sata = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0", "/sys/devices/pci0000:00/0000:00:17.0"
    text(tmp_path, "/proc/self/mountinfo", MOUNTS)
    text(tmp_path, "/proc/swaps", "Filename Type Size Used Priority\n/dev/dm-1 partition 8 0 -2\n/swap file 8 0 -3\n")
    link(tmp_path, "/sys/dev/block/259:2", f"{nvme}/nvme/nvme0/nvme0n1/nvme0n1p2")
    link(tmp_path, "/sys/dev/block/253:0", "/sys/devices/virtual/block/dm-0")
    link(tmp_path, "/sys/class/block/sda1", f"{sata}/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1")
    link(tmp_path, "/sys/class/block/dm-0", "/sys/devices/virtual/block/dm-0")
    link(tmp_path, "/sys/class/block/dm-1", "/sys/devices/virtual/block/dm-1")
    for name in ("dm-0", "dm-1"):
        link(tmp_path, f"/sys/devices/virtual/block/{name}/slaves/sda1", f"{sata}/block/sda/sda1")
    assert read_use(LiveHost(str(tmp_path))).disks == {
        "0000:01:00.0": ("/",),
        "0000:00:17.0": ("/home", "/var/lib/my data", "swap"),
    }


def test_a_disk_behind_nvme_multipath_and_a_loop_of_slaves(tmp_path: Path) -> None:
    text(tmp_path, "/proc/self/mountinfo", "22 1 259:1 / / rw - ext4 x rw\n23 1 9:0 / /raid rw - ext4 x rw\n")
    link(tmp_path, "/sys/dev/block/259:1", "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
    link(tmp_path, "/sys/class/nvme-subsystem/nvme-subsys0/nvme0", "/sys/devices/x")
    link(tmp_path, "/sys/class/nvme/nvme0", "/sys/devices/pci0000:80/0000:80:03.0/0000:81:00.0/nvme/nvme0")
    link(tmp_path, "/sys/dev/block/9:0", "/sys/devices/virtual/block/md0")
    link(tmp_path, "/sys/class/block/md0", "/sys/devices/virtual/block/md0")
    link(tmp_path, "/sys/devices/virtual/block/md0/slaves/md0", "/sys/devices/virtual/block/md0")
    assert read_use(LiveHost(str(tmp_path))).disks == {"0000:81:00.0": ("/",)}


class _Asked(LiveHost):
    """Counts what it is asked for."""

    looks = 0

    def list(self, path: str) -> tuple[str, ...] | None:
        self.looks += 1
        return super().list(path)


def test_devices_that_are_all_made_of_one_another_are_looked_at_once_each(tmp_path: Path) -> None:
    text(tmp_path, "/proc/self/mountinfo", "22 1 9:0 / / rw - ext4 x rw\n")
    link(tmp_path, "/sys/dev/block/9:0", "/sys/devices/virtual/block/md0")
    names = [f"md{at}" for at in range(9)]
    for name in names:
        link(tmp_path, f"/sys/class/block/{name}", f"/sys/devices/virtual/block/{name}")
        for other in names:
            link(tmp_path, f"/sys/devices/virtual/block/{name}/slaves/{other}", f"/sys/devices/virtual/block/{other}")
    sata = "/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0/0:0:0:0/block/sda"
    link(tmp_path, "/sys/class/block/sda", sata)
    link(tmp_path, "/sys/devices/virtual/block/md8/slaves/sda", sata)
    host = _Asked(str(tmp_path))
    assert read_use(host).disks == {"0000:00:17.0": ("/",)}
    assert host.looks < 20


def test_interfaces_and_what_is_stacked_on_them(tmp_path: Path) -> None:
    card = "/sys/devices/pci0000:00/0000:00:03.0/0000:05:00.0/net/eno1"
    link(tmp_path, "/sys/class/net/eno1", card)
    text(tmp_path, f"{card}/operstate", "up\n")
    link(tmp_path, f"{card}/upper_bond0", "/sys/devices/virtual/net/bond0")
    link(tmp_path, "/sys/class/net/bond0", "/sys/devices/virtual/net/bond0")
    link(tmp_path, "/sys/devices/virtual/net/bond0/upper_br0", "/sys/devices/virtual/net/br0")
    assert read_use(LiveHost(str(tmp_path))).interfaces == {"0000:05:00.0": ("eno1", "bond0", "br0")}


def nodes(top: Path) -> VfioNodes:
    found = VFIO[0].read(LiveHost(str(top)))
    assert isinstance(found, VfioNodes)
    return found


def test_nodes_and_who_holds_them(tmp_path: Path) -> None:
    for name in ("dev/vfio/vfio", "dev/vfio/25", "dev/vfio/9", "dev/vfio/devices/vfio0", "dev/iommu"):
        text(tmp_path, name, "")
    (tmp_path / "proc/77/fd").mkdir(parents=True)
    for fd, target in (("3", "/dev/vfio/vfio"), ("4", "/dev/vfio/25"), ("5", "/dev/vfio/25"), ("6", "socket:[1]")):
        (tmp_path / "proc/77/fd" / fd).symlink_to(target)
    text(tmp_path, "/proc/77/comm", "qemu-system-x86\n")
    assert nodes(tmp_path) == VfioNodes(
        ("9", "25"), ("vfio0",), container=True, iommufd=True, holders=(Holder("/dev/vfio/25", 77, "qemu-system-x86"),)
    )
    text(tmp_path, "/proc/78/fd", "a file, so that it cannot be listed")
    assert nodes(tmp_path).complete


def test_without_nodes_nobody_is_looked_for(tmp_path: Path) -> None:
    assert nodes(tmp_path) == VfioNodes()
    text(tmp_path, "/dev/vfio/25", "")
    assert not nodes(tmp_path).complete  # there is no /proc to look through


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ("vfio 65536 3 vfio_pci_core,vfio_iommu_type1,vfio_pci, Live 0x0\n", True),
        ("vfio 65536 5 vfio_pci_core,vfio_iommu_type1,vfio_pci, Live 0x0\n", False),
        ("vfio 65536 0 - Live 0x0\n", True),
        ("vfio_pci 16384 0 - Live 0x0\n", False),
        ("", False),
        ("vfio garbage\n", False),
    ],
)
def test_uses_of_the_module_tell_whether_a_node_is_open(modules: str, said: bool) -> None:  # noqa: FBT001 - a column
    assert idle(modules) is said


STATUS = """Package: nvidia-driver-580-open
Status: install ok installed
Version: 580.159.04-1

Package: nvidia-dkms-550
Status: deinstall ok config-files

Package: nvidia-firmware-580
Status: install ok installed

Package: nvidia-container-toolkit-base
Status: install ok installed
"""


def test_packages_that_are_installed_and_bring_the_driver_or_its_runtime() -> None:
    assert parse_packages(STATUS) == ("nvidia-container-toolkit-base", "nvidia-driver-580-open")
    assert parse_packages("") == parse_packages("garbage") == ()


def test_leftovers_of_a_driver(tmp_path: Path) -> None:
    for name in ("nvidia", "nvidia_uvm", "nvidiafb", "nvidia_wmi_ec_backlight"):
        text(tmp_path, f"/sys/module/{name}/refcnt", "0\n")
    said = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (nixbld@)\n"
    text(tmp_path, "/proc/driver/nvidia/version", said)
    text(tmp_path, "/var/lib/dkms/nvidia/580.159.04/source", "")
    text(tmp_path, "/var/lib/dpkg/status", STATUS)
    text(tmp_path, "/etc/systemd/system/multi-user.target.wants/nvidia-persistenced.service", "")
    text(tmp_path, "/etc/systemd/system/multi-user.target.wants/ssh.service", "")
    text(tmp_path, "/usr/bin/nvidia-smi", "")
    text(tmp_path, "/run/nvidia/validations/driver-ready", "")
    assert LEFTOVERS[0].read(LiveHost(str(tmp_path))) == NvidiaLeftovers(
        ("nvidia", "nvidia_uvm"), "580.159.04", ("nvidia",), parse_packages(STATUS), ("nvidia-persistenced.service",),
        ("/usr/bin/nvidia-smi",), "/run/nvidia",
    )  # fmt: skip
    assert LEFTOVERS[0].read(LiveHost(str(tmp_path / "none"))) == NvidiaLeftovers()


def test_kata_without_root_and_containerds_limit(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert MEMLOCK[0].read(host) == Memlock()
    folder = "/opt/kata/share/defaults/kata-containers"
    text(tmp_path, f"{folder}/configuration-clh.toml", "[hypervisor.clh]\nrootless = true\n")
    text(tmp_path, f"{folder}/configuration-qemu.toml", "[hypervisor.qemu]\n# rootless = true\n")
    text(tmp_path, "/usr/lib/systemd/system/containerd.service", "[Service]\nLimitMEMLOCK=64M\n")
    assert MEMLOCK[0].read(host) == Memlock()
    text(tmp_path, f"{folder}/runtimes/qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml", "rootless = true\n")
    text(tmp_path, "/etc/systemd/system/containerd.service.d/m.conf", "[Service]\nLimitMEMLOCK=infinity\n")
    found = MEMLOCK[0].read(host)
    assert found == Memlock((f"{folder}/runtimes/qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml",), "infinity")


@pytest.mark.parametrize("functions", [pci_hosts.HGX_ONE_GROUP, pci_hosts.WORKSTATION, pci_hosts.TUNED])
def test_a_recording_says_what_the_host_said(tmp_path: Path, functions: tuple[Function, ...]) -> None:
    """Also of configuration space, which is no text, and of folders that are reached through links."""
    host = RecordingHost(LiveHost(str(pci_hosts.write(tmp_path / "host", functions))))
    told = (read_details(host), read_use(host), VFIO[0].read(host))
    host.save(str(tmp_path / "recorded"), "host")
    replayed = BundleHost(str(tmp_path / "recorded"))
    assert (read_details(replayed), read_use(replayed), VFIO[0].read(replayed)) == told
    assert told[0].ports
