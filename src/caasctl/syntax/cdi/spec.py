"""A CDI specification: its text read and judged as CDI's own library does, in that library's words where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.syntax.cdi.edits import edits_problems, is_empty
from caasctl.syntax.cdi.names import device_problem, kind_problem, qualified, quoted
from caasctl.syntax.cdi.shape import SPEC, fitted, misfits
from caasctl.syntax.cdi.versions import OLDEST, VERSIONS, newer, required


@dataclass(frozen=True)
class Node:
    """A device node. path: in the container. host_path: on the host, "" where it is the same.

    numbered: type and number are given, so that nobody looks at the host's node.
    """

    path: str
    host_path: str = ""
    numbered: bool = False

    @property
    def on_host(self) -> str:
        return self.host_path or self.path


@dataclass(frozen=True)
class Device:
    """name: without its kind. nodes: what a container gets with it."""

    name: str
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Spec:
    """version: as written, without a leading v. nodes: what every device of the file brings besides its own.

    needs: the oldest version that has all that the file uses.
    """

    version: str
    kind: str
    devices: tuple[Device, ...] = ()
    nodes: tuple[Node, ...] = ()
    needs: str = OLDEST

    def nodes_of(self, device: Device) -> tuple[Node, ...]:
        return (*self.nodes, *device.nodes)

    @property
    def names(self) -> tuple[str, ...]:
        """Qualified: nvidia.com/pgpu=12."""
        return tuple(qualified(self.kind, device.name) for device in self.devices)


@dataclass(frozen=True)
class Read:
    """What came of a text. spec: None where it is refused. problems: all of them; the library stops at the first.

    version: what it claims, even where it is refused; "" where it claims none.
    """

    spec: Spec | None = None
    problems: tuple[str, ...] = ()
    version: str = ""


def parse(text: str, path: str) -> Read:
    """The specification in a file of this path: .json or .yaml, both read by one YAML parser in the library."""
    try:
        data = _data(text, path)
    except formats.FormatError as error:
        return Read(problems=(error.problem.removeprefix(path).strip(),))
    if data is None:
        return Read(problems=("no Spec data",))
    wrong = tuple(misfits(data, SPEC))
    version = _version(data)
    if wrong:
        return Read(problems=wrong, version=version)
    known = fitted(data, SPEC)
    problems = tuple(judged(known))
    return Read(None if problems else _spec(known), problems, version)


def _data(text: str, path: str) -> Any:
    if path.endswith(".json"):
        try:
            return formats.parse_json(text, path, unique=True)
        except formats.FormatError as error:
            if "given twice" in error.problem:
                raise
    return formats.parse_yaml(text, path)


def _version(data: Any) -> str:
    given = data.get("cdiVersion") if isinstance(data, Mapping) else None
    return given.removeprefix("v") if isinstance(given, str) else ""


def judged(known: Mapping[str, Any]) -> Iterator[str]:
    """What the library refuses in a specification whose fields fit, in its order and words."""
    version = known.get("cdiVersion", "").removeprefix("v")
    if version not in VERSIONS:
        yield f"invalid version {quoted(known.get('cdiVersion', ''))}"
    elif newer(required(known), version):
        yield f"the spec version must be at least v{required(known)}"
    problem = kind_problem(known.get("kind", ""))
    if problem:
        yield problem
    yield from edits_problems(known.get("containerEdits", {}))
    yield from _devices(known.get("devices", ()))


def _devices(devices: Any) -> Iterator[str]:
    seen: set[str] = set()
    for device in devices:
        name = device.get("name", "")
        for problem in _device(name, device.get("containerEdits", {})):
            yield f"failed add device {quoted(name)}: {problem}"
        if name in seen:
            yield f"invalid spec, multiple device {quoted(name)}"
        seen.add(name)
    if not seen:
        yield "invalid spec, no devices"


def _device(name: str, edits: Mapping[str, Any]) -> Iterator[str]:
    problem = device_problem(name)
    if problem:
        yield problem
    if is_empty(edits):
        yield "invalid device, empty device edits"
    for problem in edits_problems(edits):
        yield f"invalid device {quoted(name)}: {problem}"


def _spec(known: Mapping[str, Any]) -> Spec:
    devices = tuple(Device(entry["name"], _nodes(entry)) for entry in known["devices"])
    return Spec(known["cdiVersion"].removeprefix("v"), known["kind"], devices, _nodes(known), required(known))


def _nodes(holder: Mapping[str, Any]) -> tuple[Node, ...]:
    nodes = holder.get("containerEdits", {}).get("deviceNodes", ())
    return tuple(Node(node["path"], node.get("hostPath", ""), _numbered(node)) for node in nodes)


def _numbered(node: Mapping[str, Any]) -> bool:
    return bool(node.get("type")) and (bool(node.get("major")) or node["type"] == "p")
