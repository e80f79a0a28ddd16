"""`caasctl gpu list` and `gpu map`: GPUs in rows, or from the NUMA node down to the resource that a pod asks for; and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from caasctl import formats
from caasctl.facts.gpu import PciFunction
from caasctl.needs.gpu.inventory import ALONE, NOT, Gpu, by_place
from caasctl.report.facts import plain
from caasctl.report.paper import Paper, open_paper
from caasctl.report.stream import emit
from caasctl.syntax.pci import size, speed

SCHEMA_VERSION = 1
FORMATS = ("text", "json", "yaml")
_HEAD = ("ADDRESS", "GROUP", "DRIVER", "NUMA", "BARS", "LINK", "GUEST")
_INDENT = 2
_STYLES = {ALONE: "green", NOT: "yellow"}


def write_list(gpus: Sequence[Gpu], notes: Sequence[str], fmt: str, out: TextIO, *, width: int | None = None) -> None:
    if fmt == "text":
        _list(gpus, notes, open_paper(out, width))
    else:
        _emit({"gpus": [_entry(gpu) for gpu in gpus], "notes": list(notes)}, fmt, out)


def write_map(gpus: Sequence[Gpu], notes: Sequence[str], fmt: str, out: TextIO, *, width: int | None = None) -> None:
    if fmt == "text":
        _map(gpus, notes, open_paper(out, width))
    else:
        _emit({"places": [_place(*place) for place in by_place(tuple(gpus))], "notes": list(notes)}, fmt, out)


def _emit(data: dict[str, Any], fmt: str, out: TextIO) -> None:
    whole = {"schemaVersion": SCHEMA_VERSION, **data}
    emit(out, formats.dump_json(whole) if fmt == "json" else formats.dump_yaml(whole))


def _entry(gpu: Gpu) -> dict[str, Any]:
    """The fields of a GPU, and whether its group is bound as a whole."""
    said = plain(gpu)
    return {**said, "bound": gpu.bound} if isinstance(said, dict) else {}


def _place(node: int, port: str, gpus: tuple[Gpu, ...]) -> dict[str, Any]:
    groups = {gpu.group: [each for each in gpus if each.group == gpu.group] for gpu in gpus}
    return {"numaNode": node, "rootPort": port, "groups": [_group(number, found) for number, found in groups.items()]}


def _group(number: str, gpus: list[Gpu]) -> dict[str, Any]:
    first = gpus[0]
    devices = {(gpu.node, gpu.device, gpu.resource): gpu.node_exists for gpu in gpus if gpu.resource}
    doors = [{"node": node, "exists": exists, "cdiName": f"{kind}={name}", "resource": kind}
             for (node, name, kind), exists in devices.items()]  # fmt: skip
    alone = [PciFunction(g.address, g.vendor, g.device_id, g.class_code, g.driver, "", g.numa_node) for g in gpus]
    return {"group": number, "usable": first.usable, "why": list(first.why), "doors": doors,
            "functions": [plain(function) for function in first.functions or alone]}  # fmt: skip


# -- list --------------------------------------------------------------------------------------------------------------
def _list(gpus: Sequence[Gpu], notes: Sequence[str], paper: Paper) -> None:
    if gpus:
        rows = [_HEAD, *(_row(gpu) for gpu in gpus)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        paper.line((_padded(_HEAD, widths), "bold"))
        for gpu, row in zip(gpus, rows[1:], strict=True):
            paper.line(_padded(row[:-1], widths), "  ", (row[-1], _STYLES.get(gpu.usable, "")))
            paper.hang([" " * _INDENT], _name(gpu), _INDENT)
            for said in _reasons(gpu):
                paper.hang([" " * _INDENT], said, _INDENT + 2)
    _notes(notes, paper, after=bool(gpus))


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False))


def _row(gpu: Gpu) -> tuple[str, ...]:
    node = str(gpu.numa_node) if gpu.numa_node >= 0 else "-"
    return (
        gpu.address,
        gpu.group or "-",
        gpu.driver or "-",
        node,
        size(gpu.bar_bytes) if gpu.bar_bytes else "-",
        _link(gpu),
        gpu.usable,
    )


def _link(gpu: Gpu) -> str:
    link = gpu.link
    if link is None:
        return gpu.power_state if gpu.power_state not in ("", "D0") else "-"
    if link.dead:
        return "no answer"
    lanes = f"x{link.width}" if link.width == link.max_width else f"x{link.width}/x{link.max_width}"
    now, most = speed(link.speed), speed(link.max_speed)
    return f"{lanes} {now if now == most else f'{now}/{most}'} GT/s"


def _name(gpu: Gpu) -> str:
    ids = f"{gpu.vendor}:{gpu.device_id}"
    named = f"{gpu.model} ({ids})" if gpu.model else f"{ids}, class {gpu.class_code}"
    return f"NVSwitch: {named}" if gpu.switch else named


def _reasons(gpu: Gpu) -> list[str]:
    said = [f"only together with {', '.join(gpu.beside)}"] if gpu.beside and gpu.usable != NOT else []
    companions = [f.address for f in gpu.functions if f.address != gpu.address and f.address not in gpu.beside]
    if companions and gpu.usable != NOT:
        said.append(f"with it goes {', '.join(companions)}")
    return said + [f"not for guests: {why}" for why in gpu.why]


def _notes(notes: Sequence[str], paper: Paper, *, after: bool) -> None:
    if notes and after:
        paper.blank()
    for note in notes:
        paper.hang([], note, 0, keep=True)


# -- map ---------------------------------------------------------------------------------------------------------------
def _map(gpus: Sequence[Gpu], notes: Sequence[str], paper: Paper) -> None:
    last: int | None = None
    for node, port, found in by_place(tuple(gpus)):
        if node != last:
            paper.line((f"NUMA node {node}" if node >= 0 else "NUMA node not known", "bold"))
            last = node
        place = "on a root bus" if all(gpu.complete for gpu in found) else "root port not known"
        paper.line(f"  {f'root port {port}' if port else place}")
        for number in dict.fromkeys(gpu.group for gpu in found):
            _map_group(number, [gpu for gpu in found if gpu.group == number], paper)
    _notes(notes, paper, after=bool(gpus))


def _map_group(number: str, gpus: list[Gpu], paper: Paper) -> None:
    paper.line(f"    group {number}" if number else "    in no IOMMU group")
    models = {gpu.address: f"NVSwitch {gpu.model}".rstrip() if gpu.switch else gpu.model for gpu in gpus}
    for function in gpus[0].functions:
        ids = f"{function.vendor}:{function.device} {models.get(function.address, '')}".rstrip()
        paper.hang([f"      {function.address}  "], f"{function.driver or 'no driver'}  {ids}", 8)
    if not gpus[0].functions:
        for gpu in gpus:
            paper.hang([f"      {gpu.address}  "], f"{gpu.driver or 'no driver'}  {_name(gpu)}", 8)
    for why in gpus[0].why:
        paper.hang([" " * 6], f"not for guests: {why}", 8)
    if gpus[0].usable != NOT:
        for node, name, kind, exists in dict.fromkeys((g.node, g.device, g.resource, g.node_exists) for g in gpus):
            there = "" if exists else " (absent)"
            paper.hang([" " * 6], f"{node}{there} -> {kind}={name} -> resource {kind}", 8)
