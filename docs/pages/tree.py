"""All that docs/generate.py writes: path below the checkout -> text, and what lies there and should not."""

from __future__ import annotations

from pathlib import Path

from docs.pages import checks, command_line, nav, outputs, phases, profiles, schema, symptoms

from caasctl.checks import ALL_CHECKS
from caasctl.doctor.rules import shipped_rules

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
REFERENCE = "docs/reference"
_CONTRIBUTING = "# Contributing\n\n*Written by `docs/generate.py` from `CONTRIBUTING.md`.*\n"


def pages() -> dict[str, str]:
    """Every file, whole."""
    rules = shipped_rules()
    made = {
        "docs/checks.md": checks.index(ALL_CHECKS),
        "docs/symptoms.md": symptoms.index(rules),
        "docs/decisions.md": nav.decisions(DOCS),
        "docs/contributing.md": contributing((TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")),
        f"{REFERENCE}/profile.md": profiles.text(),
        f"{REFERENCE}/phases.md": phases.text(),
        f"{REFERENCE}/report.md": schema.text(),
        f"{REFERENCE}/commands.md": command_line.text(),
    }
    of_checks, of_symptoms = checks.topics(ALL_CHECKS), symptoms.topics(rules)
    made |= {f"{REFERENCE}/checks/{topic}.md": checks.of_topic(topic, ALL_CHECKS, rules) for topic in of_checks}
    made |= {f"{REFERENCE}/symptoms/{topic}.md": symptoms.of_topic(topic, rules) for topic in of_symptoms}
    made["mkdocs.yml"] = nav.with_nav((TOP / "mkdocs.yml").read_text(encoding="utf-8"), of_checks, of_symptoms, DOCS)
    return made | {
        name: outputs.filled((TOP / name).read_text(encoding="utf-8")) for name in by_hand() if name not in made
    }


def by_hand() -> tuple[str, ...]:
    """Pages of docs/ itself: those with blocks of output are filled, others are what they are."""
    return tuple(str(path.relative_to(TOP)) for path in sorted(DOCS.glob("*.md")))


def contributing(text: str) -> str:
    """CONTRIBUTING.md as a page of docs/."""
    return text.replace("# Contributing\n", _CONTRIBUTING, 1).replace("](docs/", "](")


def strangers(made: dict[str, str]) -> tuple[str, ...]:
    """Pages of docs/reference that nothing writes any more."""
    there = (str(path.relative_to(TOP)) for path in (TOP / REFERENCE).rglob("*.md"))
    return tuple(sorted(name for name in there if name not in made))


def stale() -> tuple[str, ...]:
    """What differs from what would be written now."""
    made = pages()
    differs = [name for name, text in made.items() if not (TOP / name).exists() or (TOP / name).read_text() != text]
    return (*differs, *strangers(made))


def write() -> None:
    made = pages()
    for name, text in made.items():
        (TOP / name).parent.mkdir(parents=True, exist_ok=True)
        (TOP / name).write_text(text, encoding="utf-8")
    for name in strangers(made):
        (TOP / name).unlink()
