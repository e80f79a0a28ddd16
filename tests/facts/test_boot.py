"""Boot facts from trees: GRUB on Debian and Ubuntu, BLS, systemd-boot, nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts import boot, boot_entries
from caasctl.facts.boot import BootLoader, read_command_line, read_grub_config, read_hugepages, read_loader
from caasctl.facts.boot_entries import read_entries
from caasctl.host import LiveHost
from caasctl.model import HEADER, Unreadable

MKCONFIG = "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n"
GRUB_CFG = """### BEGIN /etc/grub.d/10_linux ###
menuentry 'Debian' {
	linux /vmlinuz-6.1 root=/dev/vda1 ro quiet
}
### END /etc/grub.d/10_linux ###
"""
DEBIAN = {
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="audit=1"\n',
    "/etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n',
    "/etc/default/grub.d/ignored.conf": 'GRUB_CMDLINE_LINUX_DEFAULT="no"\n',
    "/usr/sbin/grub-mkconfig": MKCONFIG,
    "/usr/sbin/update-grub": "exec grub-mkconfig\n",
    "/usr/sbin/mkinitramfs": "#!/bin/sh\n",
    "/boot/grub/grub.cfg": GRUB_CFG,
}
ENTRY = "title Rocky\nversion 5.14\nlinux /vmlinuz-5.14\noptions $kernelopts intel_iommu=on\n"
ROCKY = {
    "/etc/default/grub": "GRUB_ENABLE_BLSCFG=true\n",
    "/usr/sbin/grub2-mkconfig": ". /etc/default/grub\n",
    "/usr/bin/dracut": "",
    "/boot/grub2/grub.cfg": "insmod blscfg\nblscfg\n",
    "/boot/grub2/grubenv": "kernelopts=root=/dev/sda1 ro\n",
    "/boot/loader/entries/abc-5.14.conf": ENTRY,
}


def tree(top: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = top / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(top))


def test_grub_of_debian(tmp_path: Path) -> None:
    host = tree(tmp_path, DEBIAN)
    loader = read_loader(host)
    assert (loader.kind, loader.config, loader.update) == ("grub", "/boot/grub/grub.cfg", ("update-grub",))
    assert (loader.firmware, loader.initramfs) == ("bios", "initramfs-tools")
    config = read_grub_config(host)
    assert config.files == ("/etc/default/grub", "/etc/default/grub.d/50-cloudimg-settings.cfg")
    assert [(a.text, a.where) for a in config.arguments] == [
        ("audit=1", "/etc/default/grub:2"),
        ("console=ttyS0", "/etc/default/grub.d/50-cloudimg-settings.cfg:1"),
    ]
    entries = read_entries(host)
    assert entries.default is not None
    assert entries.default.arguments == ("root=/dev/vda1", "ro", "quiet")


def test_our_own_drop_in_is_told_from_foreign_ones(tmp_path: Path) -> None:
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"\n'
    config = read_grub_config(tree(tmp_path, {**DEBIAN, boot.OURS: HEADER + text}))
    assert config.ours
    assert [a.text for a in config.arguments if a.ours] == ["intel_iommu=on"]
    assert [a.text for a in config.foreign] == ["audit=1", "console=ttyS0"]
    theirs = read_grub_config(tree(tmp_path, {boot.OURS: text}))
    assert not theirs.ours


def test_a_bls_host_from_its_files(tmp_path: Path) -> None:
    host = tree(tmp_path, ROCKY)
    loader = read_loader(host)
    assert (loader.kind, loader.config, loader.mkconfig) == ("bls", "/boot/grub2/grub.cfg", "grub2-mkconfig")
    assert loader.initramfs == "dracut"
    entries = read_entries(host)
    assert entries.source == "/boot/loader/entries"
    assert entries.default is not None
    assert entries.default.arguments == ("root=/dev/sda1", "ro", "intel_iommu=on")


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"/boot/loader/entries/a.conf": ENTRY}, "systemd-boot"),
        ({"/run/ostree-booted": "", **ROCKY}, "ostree"),
        ({"/etc/kernel/proxmox-boot-uuids": "A\n", **DEBIAN}, "proxmox-boot"),
        ({"/usr/sbin/grub2-mkconfig": "", "/boot/grub2/grub.cfg": ""}, "grub-plain"),
        ({"/boot/grub/grub.cfg": ""}, "grub-plain"),
        ({"/usr/sbin/grub-mkconfig": MKCONFIG, "/boot/vmlinuz-6.1": ""}, ""),
        ({"/usr/sbin/grub-mkconfig": MKCONFIG, "/boot/grub/unicode.pf2": ""}, "grub"),
        ({"/boot/extlinux/extlinux.conf": ""}, "extlinux"),
        ({}, ""),
    ],
)
def test_who_loads_the_kernel(tmp_path: Path, files: dict[str, str], kind: str) -> None:
    loader = read_loader(tree(tmp_path, files))
    assert loader.kind == kind
    assert len(loader.reasons) == 1


def test_systemd_boot_says_so_to_the_firmware(tmp_path: Path) -> None:
    host = tree(tmp_path, DEBIAN)
    variable = tmp_path / "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    variable.parent.mkdir(parents=True)
    variable.write_bytes(b"\6\0\0\0" + "systemd-boot 252.38\0".encode("utf-16-le"))
    loader = read_loader(host)
    assert loader == BootLoader("systemd-boot", loader.reasons, firmware="uefi", initramfs="initramfs-tools")
    assert "252.38" in loader.reasons[0]


def test_nothing_there_is_a_value(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert read_grub_config(host).arguments == ()
    assert read_hugepages(host).sizes == ()
    assert read_entries(host) == boot_entries.BootEntries("", (), None)
    with pytest.raises(Unreadable, match="/proc/cmdline"):
        read_command_line(host)


def test_initrdless_images_and_dos_line_ends_show(tmp_path: Path) -> None:
    files = {"/etc/default/grub.d/40-force-partuuid.cfg": "GRUB_FORCE_PARTUUID=6a1b\r\n"}
    config = read_grub_config(tree(tmp_path, files))
    assert config.initrdless
    assert config.carriage_returns == ("/etc/default/grub.d/40-force-partuuid.cfg",)


def test_hugepages_by_size_and_node(tmp_path: Path) -> None:
    one = "/sys/kernel/mm/hugepages/hugepages-1048576kB"
    node = "/sys/devices/system/node/node{}/hugepages/hugepages-1048576kB/nr_hugepages"
    host = tree(tmp_path, {f"{one}/nr_hugepages": "906\n", f"{one}/free_hugepages": "900\n", node.format(0): "453\n",
                           node.format(1): "453\n", "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n"})  # fmt: skip
    found = read_hugepages(host)
    assert [size.size_kib for size in found.sizes] == [2048, 1048576]
    assert (found.sizes[1].total, found.sizes[1].free, found.sizes[1].nodes) == (906, 900, {0: 453, 1: 453})
    with pytest.raises(Unreadable, match="no number"):
        read_hugepages(tree(tmp_path, {f"{one}/nr_hugepages": "many\n"}))


def test_a_grub_mkconfig_that_cannot_be_read_does_not_say_that_drop_ins_are_not_read(tmp_path: Path) -> None:
    host = tree(tmp_path, DEBIAN)
    (tmp_path / "usr/sbin/grub-mkconfig").write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match="grub-mkconfig"):
        read_loader(host)
