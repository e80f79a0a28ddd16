"""A CDI specification that doctor was given: the name that its devices are asked for by."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.given import CDI, GivenFiles, table, text
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi.names import kind_problem


@check(
    "cdi.file_kind",
    "The kind of a given CDI specification is VENDOR/CLASS",
    reads=(),
    why="A pod or device plugin asks for VENDOR/CLASS=NAME: a specification of another kind is refused, and its devices are unknown"
    " (`unresolvable CDI devices`); Kata then gives no pod a GPU.",
    fix="kind: the resource's name, such as nvidia.com/pgpu; there is neither VendorDevice nor metadata in CDI.",
    source="https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md",
)
def file_kind(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Its `kind`, in the words of CDI's library."""
    given = facts.get(GivenFiles)
    for file in given.of(CDI) if given else ():
        for document in file.documents:
            kind = text(document.data, "kind")
            problem = kind_problem(kind)
            meant = table(document.data, "metadata")
            vendor, klass = text(meant, "vendor") or "nvidia.com", text(meant, "class") or "pgpu"
            if problem:
                yield failed(f'kind "{kind}": {problem}', wanted="VENDOR/CLASS, such as nvidia.com/pgpu", subject=file.name,
                             fix=Fix(f'in {file.name} line {document.line("kind")}: "kind": "{vendor}/{klass}"', FixKind.EDIT),
                             evidence=(file.at(document, ("kind",), f"kind: {kind or 'not given'}"),))  # fmt: skip
            else:
                yield passed(kind, subject=file.name)


CHECKS: tuple[Check, ...] = (file_kind,)
