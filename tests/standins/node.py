"""A stand-in node: a tree with /proc, /sys and /etc in which modprobe, swapoff, swapon, sysctl and systemctl take effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.crashing import CrashingHost

from caasctl.model import CommandError
from caasctl.protocol import Completed

SYSTEMCTL = Path(__file__).with_name("systemctl")
BRIDGE = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
HEAD = "Filename Type Size Used Priority\n"


class Node(CrashingHost):
    """Refuses commands that it does not know, modules that are not in modules.dep, and areas that are not in use."""

    def plant(self, path: str, text: str) -> None:
        place = Path(self.root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def text(self, path: str) -> str:
        return Path(self.root + path).read_text()

    def units(self, **units: str) -> None:
        """Boots systemd with units, each as `file-state/active-state`; `__` in a name stands for `.`."""
        known = {name.replace("__", "."): how.split("/") for name, how in units.items()}
        listed = {
            name: {"file": file, "active": active, "started_us": 5_000_000} for name, (file, active) in known.items()
        }
        self.plant("/run/systemctl-standin.json", json.dumps({"now_us": 60_000_000, "units": listed}))

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv[:2] == ("systemctl", "show")
        return self._systemctl(argv[1:])

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        def act() -> None:
            self.commands.append(argv)
            done = self._act(argv)
            if done.rc:
                raise CommandError(f"`{' '.join(argv)}` failed with exit status {done.rc}", cause=done.stderr, fix="")

        self._around(act)
        return Completed(argv, 0)

    def _act(self, argv: tuple[str, ...]) -> Completed:
        program, *rest = argv
        acts = {"modprobe": self._modprobe, "swapoff": self._swapoff, "swapon": self._swapon, "sysctl": self._sysctl}
        return self._systemctl(tuple(rest)) if program == "systemctl" else acts[program](argv)

    def _systemctl(self, arguments: tuple[str, ...]) -> Completed:
        argv = (sys.executable, str(SYSTEMCTL), *arguments)
        done = subprocess.run(argv, env={"STANDIN_ROOT": self.root}, capture_output=True, text=True, check=False)
        return Completed(argv, done.returncode, done.stdout, done.stderr)

    def _modprobe(self, argv: tuple[str, ...]) -> Completed:
        (name,) = argv[1:]
        release = self.text("/proc/sys/kernel/osrelease").strip()
        if f"/{name.replace('_', '-')}.ko" not in self.text(f"/lib/modules/{release}/modules.dep").replace("_", "-"):
            said = f"modprobe: FATAL: Module {name} not found in directory /lib/modules/{release}"
            return Completed(argv, 1, stderr=said)
        self.plant("/proc/modules", self.text("/proc/modules") + f"{name} 1 0 - Live 0x0\n")
        for key in BRIDGE if name == "br_netfilter" else ():
            self.plant(f"/proc/sys/net/bridge/{key}", "0\n")
        return Completed(argv, 0)

    def _swapoff(self, argv: tuple[str, ...]) -> Completed:
        (path,) = argv[1:]
        lines = self.text("/proc/swaps").splitlines(keepends=True)
        left = [line for line in lines if line.split()[0] != path]
        if left == lines:
            return Completed(argv, 4, stderr=f"swapoff: {path}: swapoff failed: Invalid argument")
        self.plant("/proc/swaps", "".join(left))
        return Completed(argv, 0)

    def _swapon(self, argv: tuple[str, ...]) -> Completed:
        priority = argv[2] if argv[1] == "-p" else "-2"
        self.plant("/proc/swaps", self.text("/proc/swaps") + f"{argv[-1]} partition 2048 0 {priority}\n")
        return Completed(argv, 0)

    def _sysctl(self, argv: tuple[str, ...]) -> Completed:
        flag, assignment = argv[1:]
        assert flag == "-w"
        key, _, value = assignment.partition("=")
        path = f"/proc/sys/{key.replace('.', '/')}"
        if not os.path.exists(self.root + path):
            return Completed(argv, 255, stderr=f"sysctl: cannot stat {path}: No such file or directory")
        self.plant(path, f"{value}\n")
        return Completed(argv, 0)
