"""`caasctl airgap`: what a profile needs from elsewhere, and what a folder holds; as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from caasctl import formats
from caasctl.airgap.directory import Manifest
from caasctl.airgap.wanted import CHART, FILE, IMAGE, KINDS, PACKAGE, REPOSITORY, Item, Target
from caasctl.model import CaasError
from caasctl.report.facts import plain
from caasctl.report.paper import Paper, open_paper
from caasctl.report.stream import emit

SCHEMA_VERSION = 1
_HEADS = {PACKAGE: "Packages", REPOSITORY: "Repositories", FILE: "Files", CHART: "Charts", IMAGE: "Images"}


def write_list(
    items: Sequence[Item], target: Target, profile: str, fmt: str, out: TextIO, *, width: int | None = None
) -> None:
    if fmt == "text":
        _text(items, target, profile, open_paper(out, width))
        return
    data: dict[str, Any] = {"schemaVersion": SCHEMA_VERSION, "profile": profile, "architecture": target.architecture,
                            "distribution": plain(target.distribution), "items": [plain(item) for item in items]}  # fmt: skip
    emit(out, formats.dump_json(data) if fmt == "json" else formats.dump_yaml(data))


def _text(items: Sequence[Item], target: Target, profile: str, paper: Paper) -> None:
    paper.hang([], f"{profile}, for {target.distribution.pretty or target.distribution.id} on {target.architecture}", 0)
    for kind in KINDS:
        found = [item for item in items if item.kind == kind]
        if found:
            paper.blank()
            paper.line((_HEADS[kind], "bold"))
        last = ""
        for item in found:
            paper.hang(["  "], " ".join(filter(None, (item.name, item.version))), 4, keep=True)
            if item.source and item.source != last:
                paper.hang(["    "], item.source, 6, keep=True)
            if item.sha256:
                paper.hang(["    "], f"sha256:{item.sha256}", 6, keep=True)
            if item.why_unknown:
                paper.hang(["    "], f"not known: {item.why_unknown}" if kind != REPOSITORY else item.why_unknown, 6)
            if item.fix:
                paper.hang(["    "], f"fix: {item.fix}", 6)
            last = item.source
        if kind == PACKAGE and found:
            paper.hang(["  "], "and what these depend on, as apt tells `airgap pack`", 4)
    unknown = sum(bool(item.why_unknown) for item in items)
    if unknown:
        paper.blank()
        paper.hang([], f"{unknown} of {len(items)} cannot be named whole from here; all others can.", 0)


def write_packed(
    manifest: Manifest,
    folder: str,
    digest: str,
    kept: int,
    failures: Sequence[CaasError],
    out: TextIO,
    *,
    width: int | None = None,
) -> None:
    """What a run of pack came to."""
    paper = open_paper(out, width)
    counts = ", ".join(f"{_HEADS[kind].lower()} {len(manifest.of(kind))}" for kind in KINDS if manifest.of(kind))
    paper.hang(
        [],
        f"{folder} holds {counts or 'nothing yet'}" + (f"; {kept} files were there already" if kept else ""),
        0,
        keep=True,
    )
    for error in failures:
        paper.blank()
        paper.hang([("FAIL ", "bold red")], error.problem, 5)
        for word, said in (("cause", error.cause), ("fix", error.fix)):
            if said:
                paper.hang([f"     {word}: "], said, 12, keep=word == "fix")
    paper.blank()
    if manifest.lacks:
        said = f"{len(failures)} could not be had. Mend that and run the same command again: it fetches what lacks."
        paper.hang([], f"It is not complete: {said}", 0)
        return
    if failures:
        paper.hang([], "It is not complete: it makes a node only where that has the rest already.", 0)
    paper.hang([], f"SHA-256 of {folder}/SHA256SUMS, which init-node shows too: {digest}", 0, keep=True)
    paper.hang(
        [],
        "Bring the folder to the node, owned by root, then: caasctl init-node --airgap DIR, with the same profile and settings",
        0,
    )
