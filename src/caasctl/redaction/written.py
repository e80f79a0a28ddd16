"""What a recording holds: its parts and their sources; of a finished one every text with the place it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.redaction.leaks import Scan


@dataclass(frozen=True)
class Part:
    """A file or a command's output in a recording. source: the word for what it is."""

    name: str
    source: str
    size_bytes: int
    command: bool = False


_JOURNALS = ("journalctl", "dmesg")
LOGS = "journals and logs"
_CLUSTER = ("kubectl", "helm", "cilium", "crictl", "ctr")
_FOLDERS = {"/etc/": "configuration", "/proc/": "kernel", "/sys/": "kernel", "/var/log/": LOGS, "/boot/": "configuration"}  # fmt: skip


def source_of(path: str) -> str:
    return next((word for folder, word in _FOLDERS.items() if path.startswith(folder)), "other files")


def part_of(entry: dict[str, Any]) -> Part:
    program = entry["argv"][0].rpartition("/")[2]
    logs = program in _JOURNALS or (program == "crictl" and "logs" in entry["argv"])
    source = LOGS if logs else "cluster and containers" if program in _CLUSTER else "other commands"
    return Part(" ".join(entry["argv"]), source, len(entry["stdout"]) + len(entry["stderr"]), command=True)


def in_file(path: str, text: str, scan: Scan) -> Iterator[tuple[str, str]]:
    if path not in ("commands.json", "manifest.json"):
        yield f"the file {path}", text
        return
    for entry in formats.parse_json(text, path) if path == "commands.json" else ():
        words = " ".join("..." if any(scan.leaks(word)) else word for word in entry["argv"])
        yield from ((f"the command `{words}`", said) for said in (*entry["argv"], entry["stdout"], entry["stderr"]))
    for key, value in formats.parse_json(text, path).items() if path == "manifest.json" else ():
        yield from ((f"{path}, {key}", said) for said in _strings(value))


def _strings(value: Any) -> Iterator[str]:
    """Every text in a part of the manifest, each as redaction had it: a path beside its reason reads like a setting."""
    if isinstance(value, dict):
        yield from value
        yield from (text for each in value.values() for text in _strings(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _strings(each))
    elif isinstance(value, str):
        yield value
