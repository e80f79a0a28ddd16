"""The navigation of the site: the end of mkdocs.yml, in the order in which pages are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

MARK = "# The rest is written by docs/generate.py.\n"
_BEFORE = (
    ("Quick start", "index.md"),
    ("Requirements", "requirements.md"),
    ("Install", "install.md"),
    ("First boot: cloud-init", "cloud-init.md"),
    ("Doctor", "doctor.md"),
    ("Recovery", "recovery.md"),
    ("Without a way out", "airgap.md"),
    ("Nodes come and go", "nodes.md"),
    ("A GPU pod", "gpu-pod.md"),
    ("Exit codes", "exit-codes.md"),
    ("Profiles", "reference/profile.md"),
    ("Phases", "reference/phases.md"),
)
_BEHIND = (
    ("Commands", "reference/commands.md"),
    ("JSON report", "reference/report.md"),
    ("Failures", "failures.md"),
    ("Host checks", "host-checks.md"),
    ("Runtimes and GPUs", "runtimes.md"),
    ("CDI", "cdi.md"),
    ("Glossary", "glossary.md"),
)
_LAST = (("Contributing", "contributing.md"), ("The lab", "lab.md"))


def with_nav(config: str, checks: Iterable[str], symptoms: Iterable[str], docs: Path) -> str:
    """mkdocs.yml with its navigation. checks, symptoms: topics that have a page."""
    decisions = {_title(path): f"adr/{path.name}" for path in sorted((docs / "adr").glob("*.md"))}
    lines = ["nav:"]
    lines += _flat(_BEFORE)
    lines += _folded("Checks", "checks.md", {topic: f"reference/checks/{topic}.md" for topic in checks})
    lines += _folded("Symptoms", "symptoms.md", {topic: f"reference/symptoms/{topic}.md" for topic in symptoms})
    lines += [*_flat(_BEHIND), *_folded("Decisions", "decisions.md", decisions), *_flat(_LAST)]
    return config.partition(MARK)[0] + MARK + "\n".join(lines) + "\n"


def _flat(pages: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f'  - "{title}": {path}' for title, path in pages)


def _folded(title: str, index: str, pages: Mapping[str, str]) -> Iterator[str]:
    yield f'  - "{title}":'
    yield f'      - "All": {index}'
    yield from (f'      - "{name}": {path}' for name, path in pages.items())


def _title(path: Path) -> str:
    found = re.match(r"# (\d+)\. (.+)", path.read_text(encoding="utf-8"))
    return f"{found[1]}. {found[2]}".replace('"', "'") if found else path.stem


def decisions(docs: Path) -> str:
    """docs/decisions.md: a list of the decision records."""
    rows = [f"- [{_title(path)}](adr/{path.name})" for path in sorted((docs / "adr").glob("*.md"))]
    return (
        "# Decisions\n\nA choice among designs has its page: what it was about, what was chosen, what follows.\n\n"
        + "\n".join(rows)
        + "\n"
    )
