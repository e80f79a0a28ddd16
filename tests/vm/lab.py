"""`./dev lab`: a booted node to try things on. It listens on loopback only and ends by itself after four hours."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from tests.lab.debian import Unavailable
from tests.vm.image import CACHE, SUITES, Kind, disk
from tests.vm.machine import INTEL, LIFE_S, Dead, Machine

NODES = CACHE / "nodes"
LAST = NODES / "last"
BOOTED = "booted"


def main() -> int:
    asked = _arguments()
    try:
        return int(asked.does(asked))
    except (Unavailable, Dead) as reason:
        print(f"./dev lab: {reason}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser(
        "up", help="builds a node where its parts changed, and boots it, or restores it as it was after its boot"
    )
    up.add_argument("suite", nargs="?", default="bookworm", choices=SUITES)
    up.add_argument("--legacy-cgroups", action="store_true", help="hybrid cgroups, as before 2021; bookworm only")
    up.add_argument(
        "--no-iommu", action="store_true", help="intel_iommu=off on its command line, as nobody had turned it on"
    )
    up.add_argument("--no-firmware-iommu", action="store_true", help="no IOMMU at all, as switched off in the firmware")
    up.set_defaults(does=_up)
    ssh = commands.add_parser("ssh", help="a shell on the node that was up last, or a command there")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(does=_ssh)
    down = commands.add_parser("down", help="ends every node of ./dev lab and forgets what happened on it")
    down.set_defaults(does=_down)
    return parser.parse_args()


def _up(asked: argparse.Namespace) -> int:
    if asked.legacy_cgroups and asked.suite != "bookworm":
        raise Unavailable(f"the systemd of {asked.suite} does not mount cgroups of version 1 any more: bookworm does")
    kind, begun = Kind(asked.suite, asked.legacy_cgroups, not asked.no_iommu), time.monotonic()
    machine = Machine(NODES / (kind.name + "-firmware-off" * asked.no_firmware_iommu))
    made = disk(kind)
    stamp = machine.folder / "made-of"
    current = made.with_suffix(".made-of").read_text()
    machine.power_off()
    if stamp.exists() and stamp.read_text() == current:
        machine.power_on(BOOTED)
        machine.up()
    else:
        machine.start(made, () if asked.no_firmware_iommu else INTEL)
        machine.up()
        machine.save(BOOTED)
        stamp.write_text(current)
    LAST.unlink(missing_ok=True)
    LAST.symlink_to(machine.folder.name)
    print(
        f"{machine.folder.name} is up after {time.monotonic() - begun:.0f} s, for {LIFE_S // 3600} hours at most; `./dev lab ssh` leads in;"
    )
    print("there: caasctl init-node --profile /etc/caasctl/lab.yaml; kubeadm, kubelet, helm and Cilium are stand-ins")
    return 0


def _ssh(asked: argparse.Namespace) -> int:
    machine = Machine(Path(os.path.realpath(LAST)))
    if not machine.pid:
        raise Unavailable("no node is up: `./dev lab up` boots one")
    os.execvp("ssh", machine.attach(*asked.command))


def _down(_asked: argparse.Namespace) -> int:
    for folder in sorted(NODES.glob("*/")):
        if not folder.is_symlink():
            Machine(folder).power_off()
            shutil.rmtree(folder)
    LAST.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
