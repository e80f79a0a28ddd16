"""Final: a resource of a reset, which is never taken back, so that no copy of what goes is kept."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.protocol import Outcome, Reader, Resource, State, Undo, Writer

NOT_BACK = "a reset is not taken back: `caasctl init-node` makes the node again"


@dataclass(frozen=True)
class Final:
    """what: the resource. lost: what goes for good with it, which the banner says."""

    what: Resource
    lost: str = ""

    @property
    def name(self) -> str:
        return self.what.name

    @property
    def after(self) -> tuple[str, ...]:
        return self.what.after

    @property
    def secret(self) -> bool:
        return self.what.secret

    @property
    def reboots(self) -> bool:
        return self.what.reboots

    @property
    def then(self) -> str:
        return str(getattr(self.what, "then", ""))

    def look(self, host: Reader) -> State:
        return self.what.look(host)

    def target(self, now: State) -> State:
        return self.what.target(now)

    def apply(self, host: Writer, now: State) -> Outcome:
        return self.what.apply(host, now)

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing=NOT_BACK, loses=self.lost)
