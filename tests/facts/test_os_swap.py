"""Everything that brings swap back: fstab, units, generators, zram services; masked ones stay listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.os_swap import PROBES, Swap, SwapUnit
from caasctl.host import LiveHost
from caasctl.model import Unreadable

ETC = "/etc/systemd/system"


def plant(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def mask(folder: Path, name: str) -> None:
    place = folder / ETC.lstrip("/") / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to("/dev/null")


def read(folder: Path) -> Swap:
    plant(folder, {"/proc/sys/kernel/osrelease": "6.1.0-22-amd64\n"})
    found = PROBES[0].read(LiveHost(str(folder)))
    assert isinstance(found, Swap)
    return found


def test_a_host_without_swap_has_none(tmp_path: Path) -> None:
    plant(tmp_path, {"/etc/fstab": "UUID=1 / ext4 defaults 0 1\n", "/proc/swaps": "Filename Type Size Used Priority\n"})
    assert read(tmp_path) == Swap(())


def test_a_tree_without_proc_says_nothing_of_swap(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        PROBES[0].read(LiveHost(str(tmp_path)))


def test_areas_in_use_and_lines_of_fstab_have_units(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 2000 500 -2\n/swap.img file 100 7 -3\n",
            "/etc/fstab": "UUID=aa none swap sw 0 0\n/swap.img none swap sw 0 0\n",
        },
    )
    found = read(tmp_path)
    assert found.used_kib == 507
    assert found.units == (
        SwapUnit(r"dev-disk-by\x2duuid-aa.swap", "/etc/fstab line 1"),
        SwapUnit("dev-sda2.swap", "/dev/sda2"),
        SwapUnit("swap.img.swap", "/etc/fstab line 2"),
    )
    assert all(unit.returns for unit in found.units)


def test_a_masked_unit_stays_listed_but_does_not_return(tmp_path: Path) -> None:
    mask(tmp_path, "dev-sda2.swap")
    assert read(tmp_path).units == (SwapUnit("dev-sda2.swap", f"{ETC}/dev-sda2.swap", masked=True),)
    assert not read(tmp_path).units[0].returns


def test_a_unit_of_the_administrators_own_returns_only_where_it_is_enabled(tmp_path: Path) -> None:
    plant(tmp_path, {f"{ETC}/data-swap.swap": "[Swap]\nWhat=/data/swap\n"})
    assert read(tmp_path).units == (SwapUnit("data-swap.swap", f"{ETC}/data-swap.swap", pinned=True),)
    assert not read(tmp_path).units[0].returns
    plant(tmp_path, {f"{ETC}/swap.target.wants/data-swap.swap": ""})
    assert read(tmp_path).units[0].returns


def test_generated_units_count(tmp_path: Path) -> None:
    plant(tmp_path, {"/run/systemd/generator.late/dev-nvme0n1p3.swap": "[Swap]\n"})
    assert [unit.name for unit in read(tmp_path).units] == ["dev-nvme0n1p3.swap"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"/usr/lib/systemd/zram-generator.conf": "[zram0]\nzram-size = ram / 2\n"}, ["dev-zram0.swap"]),
        ({"/usr/lib/systemd/zram-generator.conf": "[zram0]\n", "/etc/systemd/zram-generator.conf": ""}, []),
        ({"/usr/lib/systemd/system/zramswap.service": "[Service]\n"}, ["zramswap.service"]),
        ({"/usr/lib/systemd/system/ssh.service": "[Service]\n"}, []),
    ],
)
def test_compressed_memory_is_swap_too(tmp_path: Path, files: dict[str, str], names: list[str]) -> None:
    plant(tmp_path, files)
    assert [unit.name for unit in read(tmp_path).units] == names
