"""Files that the user gave doctor to judge; no probe looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caasctl.formats.documents import Document, Path
from caasctl.frozen import dataclass
from caasctl.model import Evidence

KUBEADM, CONTAINERD, KATA, CDI = (
    "kubeadm configuration",
    "containerd configuration",
    "Kata configuration",
    "CDI specification",
)
OBJECTS, CILIUM, GRUB, KUBECONFIG = "Kubernetes objects", "values for Cilium's chart", "GRUB defaults", "kubeconfig"


@dataclass(frozen=True)
class Given:
    """One file. name: as the user wrote it. documents: () where it does not parse, and of shell texts. error: why not.

    remarks: what was passed over to read it: a byte order mark, DOS line ends.
    """

    name: str
    kind: str
    text: str = ""
    documents: tuple[Document, ...] = ()
    error: str = ""
    remarks: tuple[str, ...] = ()

    def at(self, document: Document, path: Path, said: str = "") -> Evidence:
        """Where something stands: file, line and key path."""
        line = document.line(*path)
        return Evidence(f"{self.name}:{line}" if line else self.name, said or dotted(path))


@dataclass(frozen=True)
class GivenFiles:
    """All of them, in the order given."""

    files: tuple[Given, ...] = ()

    def of(self, kind: str) -> Iterator[Given]:
        yield from (file for file in self.files if file.kind == kind and not file.error)


def dotted(path: Path) -> str:
    """`spec.containers[0].image`, as users write a key path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def get(data: Any, *path: Any) -> Any:
    """What is at a key path of parsed data; None where nothing is, or something else than the path says."""
    for part in path:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list) and part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


def table(data: Any, *path: Any) -> dict[str, Any]:
    found = get(data, *path)
    return found if isinstance(found, dict) else {}


def items(data: Any, *path: Any) -> list[Any]:
    found = get(data, *path)
    return found if isinstance(found, list) else []


def text(data: Any, *path: Any) -> str:
    """A scalar's text; "" for what is none."""
    found = get(data, *path)
    return "" if found is None or isinstance(found, (dict, list)) else str(found)
