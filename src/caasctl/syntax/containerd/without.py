"""config.toml without what caasctl merged into it, where its text of before is lost: only caasctl's own runtimes go."""

from __future__ import annotations

from caasctl.formats import REMOVED, Edits, FormatError, edit_toml, parse_toml
from caasctl.frozen import dataclass
from caasctl.syntax.containerd.tables import DROP_IN, Data, places, runtimes_path, schema, strings, table

_KEYS = frozenset(
    {"runtime_type", "runtime_path", "privileged_without_host_devices", "pod_annotations", "container_annotations", "options"}
)  # fmt: skip


@dataclass(frozen=True)
class WithoutOurs:
    """kept: handlers that were there before caasctl. drop_in_goes: nothing is at our drop-in's path afterwards.

    What is worth the same to whoever runs pods (the pause image, systemd's cgroups for runc, the CRI switched on) stays:
    nobody can tell any more whose it is.
    """

    path: str
    kept: frozenset[str] = frozenset()
    drop_in_goes: bool = True

    def __call__(self, text: str) -> str:
        try:
            data = parse_toml(text, self.path)
        except FormatError:
            return text  # broken by a later hand: not caasctl's to touch
        edits = self._edits(data)
        return edit_toml(text, edits, self.path) if edits else text

    def _edits(self, data: Data) -> Edits:
        runtimes = runtimes_path(schema(data))
        ours = [name for name, at in table(data, *runtimes).items() if name not in self.kept and _is_ours(name, at)]
        edits: list[tuple[tuple[str, ...], object]] = [((*runtimes, name), REMOVED) for name in ours]
        cri = (*places(schema(data)).runtime, "containerd")
        if table(data, *cri).get("default_runtime_name") in ours:
            edits.append(((*cri, "default_runtime_name"), REMOVED))
        imports = strings(data.get("imports"))
        if self.drop_in_goes and DROP_IN in imports:
            left = [entry for entry in imports if entry != DROP_IN]
            edits.append((("imports",), left or REMOVED))
        return edits


def _is_ours(name: str, at: object) -> bool:
    """A handler with just the keys and the words that caasctl gives to Kata's; one that somebody extended is theirs."""
    if not isinstance(at, dict):
        return False
    ours = at.get("runtime_type") == f"io.containerd.{name}.v2" and at.get("privileged_without_host_devices") is True
    return ours and name.startswith("kata-") and set(at) <= _KEYS and set(table(at, "options")) <= {"ConfigPath"}
