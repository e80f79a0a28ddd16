"""Where a check, a symptom or a phase is described, as seen from a page of docs/reference."""

from __future__ import annotations

from docs.pages.markdown import code

from caasctl.checks import ALL_CHECKS
from caasctl.doctor.rules import shipped_rules
from caasctl.phases import ORDER

_CHECKS = frozenset(check.id for check in ALL_CHECKS)
_SYMPTOMS = frozenset(rule.id for rule in shipped_rules().symptoms)
_PHASES = frozenset(phase.id for phase in ORDER)


def anchor(name: str) -> str:
    """The id itself as a fragment, for who writes an address by hand; links here use what renderers make of a heading."""
    return f'<a id="{name}"></a>'


def fragment(name: str) -> str:
    """What GitHub and mkdocs make of the heading of a check or symptom."""
    return name.replace(".", "")


def to(name: str, top: str = "../") -> str:
    """A link to a check or a symptom; just its name where there is none. top: from the page to docs/reference."""
    topic = name.partition(".")[0]
    if name in _CHECKS:
        return f"[{code(name)}]({top}checks/{topic}.md#{fragment(name)})"
    return f"[{code(name)}]({top}symptoms/{topic}.md#{fragment(name)})" if name in _SYMPTOMS else code(name)


def phase(name: str, top: str = "../") -> str:
    return f"[{code(name)}]({top}phases.md#{name})" if name in _PHASES else code(name)
