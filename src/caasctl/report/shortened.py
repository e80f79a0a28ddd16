"""What is said of something in a line."""

from __future__ import annotations

from caasctl.diagnosis import Sign
from caasctl.hidden import masked
from caasctl.report.paper import cells, crop
from caasctl.report.visible import one_line

_LINE = 160


def shortened(text: str, most: int = _LINE) -> str:
    """Without secrets, on one line, and no longer than that."""
    shown = one_line(masked(text))
    return shown if cells(shown) <= most else f"{crop(shown, most - 4)} ..."


def in_short(sign: Sign) -> str:
    """What a screen that holds the last lines only has to say of it."""
    said = sign.finding.found if sign.checked else sign.finding.title
    return (
        shortened(f"{sign.finding.subject}: {said}" if sign.checked and sign.finding.subject else said, 150).rstrip(".")
        + "."
    )
