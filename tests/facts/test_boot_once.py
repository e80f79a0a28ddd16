"""Whether GRUB can start an entry once: what stands in the way, read from files and grub-probe's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.boot_once import OneTimeEntry, read_one_time_entry
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import NOT_FOUND, Completed

MENU = """### BEGIN /etc/grub.d/00_header ###
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="0"
fi
### END /etc/grub.d/00_header ###
### BEGIN /etc/grub.d/10_linux ###
menuentry 'Debian' --id simple {
\tlinux\t/vmlinuz ro quiet
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/40_custom ###
menuentry 'Mine' --id mine {
\tlinux\t/mine ro
}
### END /etc/grub.d/40_custom ###
"""
BLOCK = "# GRUB Environment Block\n{}####\n"


class Probed(LiveHost):
    """A tree whose grub-probe says what it is told."""

    def __init__(self, root: Path, abstraction: str = "", kind: str = "ext2", rc: int = 0) -> None:
        super().__init__(str(root))
        self.answers = {"--target=abstraction": f"{abstraction}\n", "--target=fs": f"{kind}\n"}
        self.rc = rc

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        probe, target, folder = argv
        assert (probe, folder) == ("grub-probe", "/boot/grub")
        return Completed(argv, self.rc, self.answers[target], "grub-probe: error: no device\n", self.rc == NOT_FOUND)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for path in ("/usr/sbin/grub-reboot", "/usr/bin/grub-editenv"):
        put(tmp_path, path, "")
    put(tmp_path, "/boot/grub/grub.cfg", MENU)
    put(tmp_path, "/boot/grub/grubenv", BLOCK.format(""))
    return tmp_path


def put(top: Path, path: str, text: str) -> None:
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def obstacle(host: LiveHost) -> str:
    return read_one_time_entry(host).obstacle


def test_a_plain_partition_can_and_what_is_armed_is_told(top: Path) -> None:
    assert read_one_time_entry(Probed(top)) == OneTimeEntry("/boot/grub/grubenv")
    put(top, "/boot/grub/grubenv", BLOCK.format("next_entry=caasctl-trial\nsaved_entry=simple\n"))
    assert read_one_time_entry(Probed(top, kind="xfs")) == OneTimeEntry("/boot/grub/grubenv", "caasctl-trial")


@pytest.mark.parametrize(
    ("abstraction", "kind", "said"),
    [
        ("lvm", "ext2", "which lies on lvm"),
        ("diskfilter mdraid1x", "ext2", "which lies on diskfilter mdraid1x"),
        ("cryptodisk luks", "ext2", "which lies on cryptodisk luks"),
        ("", "btrfs", "which lies on btrfs"),
        ("", "zfs", "which lies on zfs"),
        ("", "f2fs", "which lies on f2fs"),
        ("", "", "a file system that grub-probe does not name"),
    ],
)
def test_where_grub_only_reads_there_is_no_trial(top: Path, abstraction: str, kind: str, said: str) -> None:
    found = obstacle(Probed(top, abstraction, kind))
    assert found.startswith("GRUB cannot write to /boot/grub")
    assert said in found


def test_a_grubenv_that_grub_would_not_change_is_an_obstacle(top: Path) -> None:
    place = top / "boot/grub/grubenv"
    put(top, "/boot/grub/grubenv", "")
    assert "no environment block" in obstacle(Probed(top))
    place.unlink()
    assert obstacle(Probed(top)) == "/boot/grub/grubenv is not there"
    put(top, "/boot/efi/grubenv", BLOCK.format(""))
    place.symlink_to("/boot/efi/grubenv")
    assert "is a link" in obstacle(Probed(top))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("   save_env next_entry\n", "", "does not look at next_entry"),
        ("menuentry 'Debian'", "set partuuid=1-02\nmenuentry 'Debian'", "GRUB_FORCE_PARTUUID"),
        ("### BEGIN /etc/grub.d/40_custom ###", "blscfg\n", "come from /boot/loader/entries"),
        ('set default="0"', 'set default="mine"', "'Mine'"),
        ("menuentry 'Debian' --id simple {\n\tlinux\t/vmlinuz ro quiet\n}", "", "/etc/grub.d/10_linux"),
        (" {\n\tlinux\t/vmlinuz ro quiet\n}", " { linux /vmlinuz ro quiet; }", "'Debian'"),
    ],
)
def test_a_menu_that_a_trial_does_not_fit_is_an_obstacle(top: Path, old: str, new: str, said: str) -> None:
    assert old in MENU
    put(top, "/boot/grub/grub.cfg", MENU.replace(old, new))
    assert said in obstacle(Probed(top))


@pytest.mark.parametrize("path", ["usr/sbin/grub-reboot", "usr/bin/grub-editenv"])
def test_a_program_that_is_missing_is_an_obstacle(top: Path, path: str) -> None:
    (top / path).unlink()
    assert obstacle(Probed(top)) == f"{path.rpartition('/')[2]} is not there"


def test_without_a_menu_there_is_nothing_to_be_tried(tmp_path: Path) -> None:
    assert read_one_time_entry(LiveHost(str(tmp_path))).obstacle == "there is no grub.cfg yet"


@pytest.mark.parametrize(("rc", "said"), [(NOT_FOUND, "grub-probe: is not there"), (1, "grub-probe: error: no device")])
def test_what_grub_probe_does_not_tell_is_not_known(top: Path, rc: int, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_one_time_entry(Probed(top, rc=rc))


def test_a_tree_cannot_be_asked_and_a_closed_grubenv_says_nothing(top: Path) -> None:
    with pytest.raises(Unreadable, match="says nothing about the tree"):
        read_one_time_entry(LiveHost(str(top)))
    (top / "boot/grub/grubenv").write_bytes(b"# GRUB Environment Block\n\xff")
    with pytest.raises(Unreadable, match="not UTF-8"):
        read_one_time_entry(Probed(top))


def test_what_is_in_the_way_does_not_move_with_what_we_arm(top: Path) -> None:
    put(top, "/boot/grub/grubenv", BLOCK.format("next_entry=caasctl-trial\n"))
    text = (
        MENU
        + "### BEGIN /etc/grub.d/42_caasctl_trial ###\nmenuentry T --id caasctl-trial {\n\tlinux\t/vmlinuz nosmt\n}\n"
    )
    put(top, "/boot/grub/grub.cfg", text)
    assert obstacle(Probed(top)) == ""
