"""UnitActivation: systemd knows a unit file of ours as it is on disk."""

from __future__ import annotations

from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Known, Reader, State, Unknown, Writer

_RELOAD = ("systemctl", "daemon-reload")


@dataclass(frozen=True)
class UnitActivation:
    """unit: its name. path: of its file."""

    unit: str
    path: str

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        if isinstance(files.get(self.path), Absent):
            return Known(IN_EFFECT)
        try:
            said = host.query("systemctl", "show", "-p", "NeedDaemonReload", "--", self.unit)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if not said.ok or "NeedDaemonReload=" not in said.stdout:
            return Unknown(f"systemctl show {self.unit}: {said.stderr.strip() or 'says nothing'}")
        return Known("systemd has an older one" if said.stdout.strip().endswith("=yes") else IN_EFFECT)

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Nothing to judge: the text is caasctl's own."""

    def activate(self, host: Writer) -> None:
        host.execute(*_RELOAD)

    def prove(self, host: Writer) -> None:
        state = self.state(host, {})
        if state != Known(IN_EFFECT):
            said = state.text if isinstance(state, Known) else str(state)
            raise CaasError(f"systemd did not take {self.path}", cause=said, fix=f"`systemctl status {self.unit}`")

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (_RELOAD,)
