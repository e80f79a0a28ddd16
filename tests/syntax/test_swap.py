"""/proc/swaps, /etc/fstab and systemd's names of swap units."""

from __future__ import annotations

import pytest

from caasctl.syntax import swap
from caasctl.syntax.swap import Area, FstabSwap

SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sda2                               partition\t2097148\t\t1024\t\t-2
/swap\\040file                           file\t\t4194300\t\t0\t\t10
"""
FSTAB = """# /etc/fstab
UUID=0a1b-2c / ext4 defaults 0 1
UUID=7f3e-11 none swap sw 0 0
 # /swapfile none swap sw 0 0
/swap.img\tnone\tswap\tsw\t0\t0
LABEL="SW" none swap sw
short line
"""


def test_active_areas_have_sizes_in_kib() -> None:
    assert swap.areas(SWAPS) == (
        Area("/dev/sda2", "partition", 2097148, 1024, -2),
        Area("/swap file", "file", 4194300, 0, 10),
    )


@pytest.mark.parametrize("text", ["", "Filename Type Size Used Priority\n", "x\n/dev/sda2 partition many few -2\n"])
def test_what_is_no_area_is_none(text: str) -> None:
    assert swap.areas(text) == ()


def test_fstab_lines_name_devices_and_their_line() -> None:
    assert swap.fstab_swaps(FSTAB) == (
        FstabSwap("/dev/disk/by-uuid/7f3e-11", 3),
        FstabSwap("/swap.img", 5),
        FstabSwap("/dev/disk/by-label/SW", 6),
    )
    assert swap.fstab_swaps("") == ()


@pytest.mark.parametrize(
    ("path", "unit"),
    [  # as `systemd-escape --path --suffix=swap` of systemd 252 prints them
        ("/dev/sda2", "dev-sda2.swap"),
        ("/swap.img", "swap.img.swap"),
        ("/dev/disk/by-uuid/7f3e-11", r"dev-disk-by\x2duuid-7f3e\x2d11.swap"),
        ("/dev/mapper/vg0-swap_1", r"dev-mapper-vg0\x2dswap_1.swap"),
        ("//swap  file/", r"swap\x20\x20file.swap"),
        ("/.swap", r"\x2eswap.swap"),
        ("/", "-.swap"),
    ],
)
def test_unit_names_are_systemds(path: str, unit: str) -> None:
    assert swap.unit_name(path) == unit


def test_memory_to_spare_keeps_a_reserve() -> None:
    assert swap.spare_kib(1024, swap.RESERVE_KIB + 1024) == 0
    assert swap.spare_kib(1024, swap.RESERVE_KIB) == -1024
    assert swap.available_kib("MemAvailable:   42 kB\n") == 42
    assert swap.available_kib("") == 0
