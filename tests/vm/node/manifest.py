"""Prints what a node is, one line each: its files with modes, owners and digests, its units, its kernel settings, its daemons' configuration.

What lives by itself is left out: logs, clocks, containerd's database, the stand-ins' own notes, and caasctl's records.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

PLACES = ("/etc", "/boot", "/root", "/opt", "/usr/bin", "/usr/sbin", "/usr/local", "/usr/lib/systemd", "/var/lib")
ALIVE = ("/var/lib/systemd", "/var/lib/containerd", "/var/lib/standin", "/var/lib/caasctl", "/var/lib/apt", "/var/lib/dpkg/lock", "/root/.ssh",
         "/root/.cache", "/opt/caasctl", "/opt/standins", "/var/lib/private", "/etc/resolv.conf", "/etc/machine-id")  # fmt: skip
SETTINGS = (
    "net.ipv4.ip_forward",
    "fs.inotify.*",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic*",
    "kernel.keys.root_maxkeys",
)
COMPUTED = "max_user_watches"  # by the kernel at each boot, from the memory that is free then


def files(place: str) -> Iterator[str]:
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if os.path.join(folder, name) not in ALIVE)
        for name in sorted(names + folders):
            path = os.path.join(folder, name)
            if path in ALIVE or name.endswith((".pyc", "__pycache__")):
                continue
            there = os.lstat(path)
            if os.path.islink(path):
                what = f"-> {os.readlink(path)}"
            elif os.path.isfile(path):
                what = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            else:
                what = "folder"
            yield f"{path} {there.st_mode:o} {there.st_uid}:{there.st_gid} {what}"


def said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


if __name__ == "__main__":
    for root in PLACES:
        print(*files(root), sep="\n")
    for line in said("systemctl", "list-unit-files", "--no-legend", "--no-pager"):
        print("unit", *line.split()[:2])
    for setting in SETTINGS:
        for path in sorted(Path("/proc/sys").glob(setting.replace(".", "/"))):
            values = path.read_text().split()
            print(path, [f"about {int(values[0]) // 10_000}0000"] if path.name == COMPUTED else values)
    print(*said("containerd", "config", "dump"), sep="\n")
