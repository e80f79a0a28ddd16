"""The control group layout from mount tables of real hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.cgroup import Mount, mode, parse_mountinfo, parse_mounts, read_layout
from caasctl.host import LiveHost
from caasctl.model import Unreadable

HYBRID = """31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""
UNIFIED = "30 24 0:26 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
LEGACY = HYBRID.replace("unified", "freezer").replace("cgroup2 cgroup2", "cgroup cgroup")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HYBRID, "hybrid"),
        (UNIFIED, "unified"),
        (LEGACY, "legacy"),
        (LEGACY + "40 1 0:50 / /mnt rw - cgroup2 none rw\n", "legacy"),
        ("30 1 0:2 / / rw - ext4 /dev/vda rw\n", "none"),
        (HYBRID + UNIFIED, "unified"),
        ("", "none"),
        ("no mountinfo at all\n", "none"),
    ],
)
def test_the_mode_is_what_is_mounted_at_the_root(text: str, found: str) -> None:
    assert mode(parse_mountinfo(text)) == found


def test_proc_mounts_says_the_same() -> None:
    text = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nx\n"
    assert parse_mounts(text) == (
        Mount("/sys/fs/cgroup", "tmpfs", "rw"),
        Mount("/sys/fs/cgroup/unified", "cgroup2", "rw"),
    )


def write(top: Path, path: str, text: str) -> None:
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def test_controllers_are_those_of_version_2(tmp_path: Path) -> None:
    write(tmp_path, "/proc/self/mountinfo", HYBRID)
    write(tmp_path, "/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n")
    layout = read_layout(LiveHost(str(tmp_path)))
    assert (layout.mode, layout.controllers, layout.v2_at) == ("hybrid", ("hugetlb",), "/sys/fs/cgroup/unified")
    assert layout.v1 == ("systemd", "memory")


def test_a_tree_without_proc_tells_by_its_files(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="/proc/mounts"):
        read_layout(LiveHost(str(tmp_path)))
    write(tmp_path, "/sys/fs/cgroup/unified/cgroup.controllers", "cpu\n")
    assert read_layout(LiveHost(str(tmp_path))).mode == "hybrid"
    write(tmp_path, "/sys/fs/cgroup/cgroup.controllers", "cpu io\n")
    write(tmp_path, "/sys/fs/cgroup/cgroup.subtree_control", "cpu\n")
    layout = read_layout(LiveHost(str(tmp_path)))
    assert (layout.mode, layout.controllers, layout.delegated) == ("unified", ("cpu", "io"), ("cpu",))
