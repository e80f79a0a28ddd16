"""A file that doctor was given can be read by the program that it is for."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.given import GivenFiles
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile


@check(
    "os.file_parses",
    "A given file is valid YAML, TOML or JSON",
    reads=(),
    why="The program that reads the file stops at it, or goes on without all that it says.",
    fix="Correct the line that the finding names.",
    source="https://yaml.org/spec/1.2.2, https://toml.io/en/v1.0.0",
)
def file_parses(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Files named with `caasctl doctor --file`."""
    given = facts.get(GivenFiles)
    for file in given.files if given else ():
        if file.error:
            yield failed(file.error, wanted="a text of its format", subject=file.name,
                         fix=Fix(f"edit {file.name}: {file.error}", FixKind.EDIT), evidence=(Evidence(file.name, file.error),))  # fmt: skip
        else:
            beside = f"; {', '.join(file.remarks)}" if file.remarks else ""
            yield passed(f"{file.kind}, {len(file.documents) or 1} document{'s' * (len(file.documents) > 1)}{beside}",
                         subject=file.name)  # fmt: skip


CHECKS: tuple[Check, ...] = (file_parses,)
