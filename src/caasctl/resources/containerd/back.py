"""Puts containerd on its configuration of before caasctl: whatever that was worth, as long as the daemon takes it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.protocol import IN_EFFECT, Known, Reader, State, Writer
from caasctl.resources.containerd import STAGE, STAMP, ContainerdActivation, _show
from caasctl.syntax.containerd.wanted import Wanted


@dataclass(frozen=True)
class ContainerdBack(ContainerdActivation):
    """Asks for no handler and no CRI: a host that had its CRI switched off gets it back as it was."""

    wanted: Wanted = field(default_factory=lambda: Wanted(""))
    running: bool = True  # containerd is installed here, so that it can be asked and restarted

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        """Only the stamp of a restart by caasctl tells of one that is owed: a daemon that was started since has read the files."""
        if not self.running or host.stat(STAMP) is None:
            return Known(IN_EFFECT)
        if not int(_show(host).get("MainPID", "0") or 0):
            return Known(IN_EFFECT)
        return super().state(host, files)

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Containerd's own opinion of the staged whole."""
        if not self.running:
            return
        files = self._staged_files(host, staged)
        try:
            if files[0].text is not None:  # 1.x cannot dump a file that is not there, although it starts without one
                self._dump(host, self._write_stage(host, files))
        finally:
            host.remove_tree(STAGE)

    def activate(self, host: Writer) -> None:
        if self.running:
            super().activate(host)

    def prove(self, host: Writer) -> None:
        if not self.running:
            return
        deadline = time.monotonic() + self.deadline_s
        while (silence := self._silence(host)) and time.monotonic() < deadline:
            time.sleep(0.2)
        if silence:
            raise self._failed(host, f"containerd does not answer: {silence}", "")
        self._remember(host)
