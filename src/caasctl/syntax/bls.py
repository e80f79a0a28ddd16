"""Boot Loader Specification entries as data: /boot/loader/entries/*.conf, the newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from caasctl.frozen import dataclass

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_RUNS = re.compile(r"(\d+)|([A-Za-z]+)")


@dataclass(frozen=True)
class BlsEntry:
    """id: the file name without .conf. options: the arguments as written, `$name` included."""

    id: str
    title: str = ""
    version: str = ""
    linux: str = ""
    options: str = ""

    @property
    def rescue(self) -> bool:
        return "-0-rescue" in self.id or "-rescue" in self.version

    @property
    def kernel(self) -> str:
        """The kernel's path on the host, as grubby takes it: an entry names it from where /boot is mounted."""
        return self.linux if self.linux.startswith("/boot/") else f"/boot/{self.linux.lstrip('/')}"

    def arguments(self, variables: Mapping[str, str]) -> str:
        """The options with $kernelopts, $tuned_params and the like of grubenv put in."""
        return " ".join(_VARIABLE.sub(lambda match: variables.get(match[1], ""), self.options).split())


def parse(id_: str, text: str) -> BlsEntry:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        if key and not key.startswith("#"):
            found.setdefault(key, []).append(value.strip())
    first = {key: values[0] for key, values in found.items()}
    return BlsEntry(id_, first.get("title", ""), first.get("version", ""), first.get("linux", first.get("efi", "")),
                    " ".join(found.get("options", ())))  # fmt: skip


def newest_first(entries: Sequence[BlsEntry]) -> tuple[BlsEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: _version(entry.id), reverse=True))


def booted(entries: Sequence[BlsEntry], variables: Mapping[str, str], default: str = "") -> BlsEntry | None:
    """The entry that starts by itself: what grubenv (or `default`, of loader.conf) names, else the newest no rescue one."""
    ordered = newest_first(entries)
    for wanted in (variables.get("next_entry", ""), variables.get("saved_entry", ""), default):
        name = wanted.removesuffix(".conf")
        if name.isdecimal() and int(name) < len(ordered):
            return ordered[int(name)]
        for entry in ordered:
            if name and name in {entry.id, entry.title}:
                return entry
    normal = [entry for entry in ordered if not entry.rescue]
    return normal[0] if normal else None


def _version(text: str) -> tuple[tuple[int, int, str], ...]:
    """Orders as rpm and systemd do, near enough: runs of digits are numbers, and newer than letters."""
    return tuple((1, int(digits), "") if digits else (0, 0, letters) for digits, letters in _RUNS.findall(text))
