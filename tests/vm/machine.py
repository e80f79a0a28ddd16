"""A booted node: QEMU by software emulation over an overlay of a disk, spoken to by ssh on loopback. It ends by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.vm.image import KEY

INTEL = ("-device", "intel-iommu,intremap=on,caching-mode=on")
LIFE_S = 4 * 3600
BOOT_S = 240
COMMAND_S = 600
_SSH = ("ssh", "-F", "none", "-i", str(KEY), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=12", "-o", "BatchMode=yes")  # fmt: skip
LOST = 255  # ssh's exit status where the connection went


class Dead(Exception):  # noqa: N818 - what a test reads
    """The machine did not do what it was asked for in time; the text ends with its console."""


@dataclass(frozen=True)
class Said:
    rc: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that was printed, without its line breaks."""
        return " ".join((self.out + self.err).split())


class Machine:
    """folder: holds its overlay, its console's log, its sockets and its pid; a folder of a running machine is attached to."""

    def __init__(self, folder: Path, life_s: int = LIFE_S) -> None:
        self.folder, self.life_s = folder, life_s

    @property
    def pid(self) -> int:
        """Of QEMU; 0 where it does not run."""
        try:
            pid = int((self.folder / "pid").read_text())
            there = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ValueError):
            return 0
        return pid if str(self.folder).encode() in there else 0

    @property
    def console(self) -> str:
        return (self.folder / "console.log").read_text(errors="replace").replace("\r", "")

    def start(self, disk: Path, hardware: Sequence[str] = INTEL) -> None:
        """Boots a new overlay of a disk; returns before it is up. hardware: words for QEMU beside those of every node."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        overlay = self.folder / "disk.qcow2"
        subprocess.run(
            ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(overlay)), check=True
        )
        (self.folder / "hardware").write_text("\n".join(hardware))
        self.power_on()

    def power_on(self, state: str = "") -> None:
        """Starts QEMU on the overlay. state: a snapshot to go on from instead of booting."""
        port = _free_port()
        (self.folder / "port").write_text(str(port))
        hardware = (self.folder / "hardware").read_text().splitlines()
        argv = ("timeout", "-k", "5", str(self.life_s), "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max", "-smp", "2",
                "-m", "4096", "-machine", "q35,sata=off", *hardware,
                "-drive", f"file={self.folder}/disk.qcow2,if=virtio,format=qcow2,cache=unsafe",
                "-netdev", f"user,id=lan,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=lan",
                "-display", "none", "-serial", f"file:{self.folder}/console.log", "-qmp", f"unix:{self.folder}/monitor,server,nowait",
                "-pidfile", str(self.folder / "pid"), *(("-loadvm", state) if state else ()))  # fmt: skip
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "qemu.log").open("ab") as log:
            subprocess.run(
                ("setsid", "--fork", *argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=True
            )
        deadline = time.monotonic() + 30
        while not self.pid:
            if time.monotonic() > deadline:
                raise Dead((self.folder / "qemu.log").read_text())
            time.sleep(0.1)

    def power_off(self) -> None:
        """As if its cord were pulled: what the node had not written to its disk is lost."""
        self._hang_up()
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():  # while it dies it still holds its disk
                time.sleep(0.05)

    def up(self, since: str = "") -> str:
        """Waits until it answers, with another boot id than `since`; returns the boot id."""
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            said = self._ssh("cat /proc/sys/kernel/random/boot_id", timeout_s=60)
            if said.rc == 0 and said.out.strip() != since:
                return said.out.strip()
            self._hang_up()
            if not self.pid:
                raise Dead(f"QEMU ended: {(self.folder / 'qemu.log').read_text()}")
            time.sleep(1)
        raise Dead(f"not up in {BOOT_S} s:\n{self.console[-3000:]}")

    def run(self, command: str, timeout_s: float = COMMAND_S) -> Said:
        """What a shell command of root says."""
        said = self._ssh(command, timeout_s)
        if said.rc == LOST and not self.pid:
            raise Dead(f"{command}: QEMU ended")
        return said

    def sh(self, command: str, timeout_s: float = COMMAND_S) -> str:
        """What a shell command prints; it must succeed."""
        said = self.run(command, timeout_s)
        assert said.rc == 0, f"{command}: {said.rc}: {said.out[-2000:]}{said.err[-2000:]}"
        return said.out

    def reboot(self) -> str:
        """Reboots and waits; returns the new boot id."""
        before = self.up()
        self.run("systemctl reboot", timeout_s=60)
        self._hang_up()
        return self.up(before)

    def save(self, state: str) -> None:
        """Keeps disk and memory of now."""
        self._hang_up()
        self._monitor(f"savevm {state}")

    def back_to(self, state: str) -> None:
        """Disk and memory of then; its clock goes on from then, too."""
        self._hang_up()
        self._monitor(f"loadvm {state}")
        self.up()

    def attach(self, *words: str) -> list[str]:
        """The command line of an ssh to it."""
        return [*_SSH, "-p", self._port(), "root@127.0.0.1", *words]

    def _ssh(self, command: str, timeout_s: float) -> Said:
        shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={self.folder}/ssh", "-o", "ControlPersist=120")
        argv = (*_SSH, *shared, "-p", self._port(), "root@127.0.0.1", command)
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as late:
            self._hang_up()
            raise Dead(f"{command}: no end in {timeout_s:.0f} s; {late.stdout!r}") from late
        return Said(done.returncode, done.stdout, done.stderr)

    def _hang_up(self) -> None:
        """Ends the shared connection; a machine that went away leaves it hanging."""
        if (self.folder / "ssh").exists():
            subprocess.run(
                (*_SSH, "-o", f"ControlPath={self.folder}/ssh", "-O", "exit", "root@127.0.0.1"),
                capture_output=True,
                check=False,
            )

    def _port(self) -> str:
        return (self.folder / "port").read_text()

    def _monitor(self, command: str) -> None:
        """A command of QEMU's monitor, done when this returns."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(120)
            monitor.connect(str(self.folder / "monitor"))
            with monitor.makefile("rw") as lines:
                lines.readline()  # its greeting
                _ask(lines, "qmp_capabilities", {})
                said = _ask(lines, "human-monitor-command", {"command-line": command})
        if said:
            raise Dead(f"{command}: {said}")


def _ask(lines: TextIO, command: str, arguments: dict[str, str]) -> str:
    """What QMP answers: "" or an empty object where all is well; what it tells by itself meanwhile is passed over."""
    lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    lines.flush()
    while answer := lines.readline():
        found = json.loads(answer)
        if "return" in found or "error" in found:
            return str(found.get("return") or found.get("error") or "")
    return "QEMU ended"


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
