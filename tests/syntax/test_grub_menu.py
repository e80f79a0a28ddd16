"""Generated menus: entries, recovery, submenus, and the one that starts; BLS entries likewise."""

from __future__ import annotations

import pytest

from caasctl.syntax import bls, grub_menu
from caasctl.syntax.grub_menu import parse

MENU = r"""
### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="DEFAULT"
fi
function savedefault {
  if [ -z "${boot_once}" ]; then
    save_env saved_entry
  fi
}
### END /etc/grub.d/00_header ###
### BEGIN /etc/grub.d/10_linux ###
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-36' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	linux	/vmlinuz-6.1.0-41-amd64 root=UUID=36 ro  quiet dyndbg="file ec.c +p" $vt_handoff
	initrd	/initrd.img-6.1.0-41-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-36' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-41-amd64' --class debian $menuentry_id_option 'gnulinux-6.1.0-41-amd64-advanced-36' {
		linux	/vmlinuz-6.1.0-41-amd64 root=UUID=36 ro  quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-41-amd64 (recovery mode)' $menuentry_id_option 'gnulinux-6.1.0-41-amd64-recovery-36' {
		linux	/vmlinuz-6.1.0-41-amd64 root=UUID=36 ro single
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-40-amd64' $menuentry_id_option 'gnulinux-6.1.0-40-amd64-advanced-36' {
		linux	/vmlinuz-6.1.0-40-amd64 root=UUID=36 ro  quiet
	}
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/30_os-prober ###
menuentry 'Other Linux' --id other {
	linux /boot/vmlinuz root=/dev/sdb1
}
### END /etc/grub.d/30_os-prober ###
menuentry "Memory test (memtest86+)" {
	linux16	/boot/memtest86+.bin
}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
	fwsetup
}
"""
SIMPLE, OLD = "Debian GNU/Linux", "Debian GNU/Linux, with Linux 6.1.0-40-amd64"


def test_normal_entries_are_those_that_boot_this_system() -> None:
    menu = parse(MENU)
    assert [entry.title for entry in menu.entries if entry.normal] == [
        SIMPLE,
        f"{SIMPLE}, with Linux 6.1.0-41-amd64",
        OLD,
    ]
    assert [entry.place for entry in menu.entries] == [(0,), (1, 0), (1, 1), (1, 2), (2,), (3,), (4,)]
    assert menu.entries[0].arguments == ("root=UUID=36", "ro", "quiet", "dyndbg=file ec.c +p", "$vt_handoff")
    assert menu.entries[2].recovery
    assert menu.entries[6].kernel == ""


@pytest.mark.parametrize(
    ("default", "environment", "title"),
    [
        ("0", {}, SIMPLE),
        ("1>2", {}, OLD),
        ("gnulinux-advanced-36>gnulinux-6.1.0-40-amd64-advanced-36", {}, OLD),
        (f"Advanced options for Debian GNU/Linux>{OLD}", {}, OLD),
        ("gnulinux-advanced-36", {}, f"{SIMPLE}, with Linux 6.1.0-41-amd64"),
        ("${saved_entry}", {"saved_entry": "1>2"}, OLD),
        ("${saved_entry}", {}, SIMPLE),
        ("0", {"next_entry": "other"}, "Other Linux"),
        ("no such entry", {}, SIMPLE),
        ("4", {}, "UEFI Firmware Settings"),
    ],
)
def test_the_entry_that_starts(default: str, environment: dict[str, str], title: str) -> None:
    booted = parse(MENU.replace("DEFAULT", default)).booted(environment)
    assert booted is not None
    assert booted.title == title


@pytest.mark.parametrize("text", ["", "}\n}\n", "menuentry\nsubmenu 'x' {\n", "linux /x\n", "menuentry 'a' {"])
def test_a_broken_menu_has_no_entry_that_boots(text: str) -> None:
    menu = parse(text)
    assert not any(entry.kernel for entry in menu.entries)
    assert menu.default == "0"


def test_an_entry_on_one_line_and_continued_lines() -> None:
    menu = parse("menuentry 'a' { linux /vmlinuz a=1 \\\n b; }\nmenuentry 'b' {\n linux /v\n}\n")
    assert [(e.title, e.kernel, e.arguments) for e in menu.entries] == [
        ("a", "/vmlinuz", ("a=1", "b")),
        ("b", "/v", ()),
    ]


def test_grubenv_is_read_and_put_in() -> None:
    text = "# GRUB Environment Block\nsaved_entry=0\nkernelopts=root=/dev/sda1 ro\n####"
    assert grub_menu.environment(text) == {"saved_entry": "0", "kernelopts": "root=/dev/sda1 ro"}
    assert grub_menu.expand("a $x ${y}", {"x": "1"}) == "a 1 "


RHEL = """title Rocky Linux (5.14.0-427.el9.x86_64) 9.4
version 5.14.0-427.el9.x86_64
linux /vmlinuz-5.14.0-427.el9.x86_64
initrd /initramfs-5.14.0-427.el9.x86_64.img $tuned_initrd
options root=/dev/mapper/rl-root ro crashkernel=1G-4G:192M
options $tuned_params
"""


def test_bls_entries_newest_first_without_the_rescue_one() -> None:
    names = ("abc-5.14.0-70.el9.x86_64", "abc-5.14.0-427.el9.x86_64", "abc-0-rescue")
    entries = [bls.parse(name, RHEL) for name in names]
    assert bls.newest_first(entries)[0].id == names[1]
    assert bls.booted(entries, {}) == entries[1]
    assert bls.booted(entries, {"saved_entry": names[0]}) == entries[0]
    assert bls.booted(entries, {"saved_entry": "gone"}) == entries[1]
    assert bls.booted([], {}) is None
    assert entries[2].rescue
    assert entries[0].arguments({"tuned_params": "isolcpus=2"}).split()[-2:] == ["crashkernel=1G-4G:192M", "isolcpus=2"]


def test_an_empty_or_broken_bls_file_boots_nothing() -> None:
    assert bls.parse("x", "").linux == ""
    assert bls.parse("x", "\0\nnonsense").options == ""
