"""Finds the files that ship with caasctl: templates, profiles, schemas; from a wheel, a zip or a checkout alike."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable  # elsewhere from 3.11 on, gone in 3.14


def _folder(kind: str) -> Traversable:
    inside = resources.files("caasctl").joinpath("_data").joinpath(kind)
    return inside if inside.is_dir() else Path(__file__).parents[2] / kind


def names(kind: str) -> tuple[str, ...]:
    """File names of a kind (`profiles`, `templates`, `schemas`), sorted."""
    return tuple(sorted(entry.name for entry in _folder(kind).iterdir() if entry.is_file()))


def text(kind: str, name: str) -> str | None:
    """The text of a shipped file; None where none of that name ships."""
    entry = _folder(kind).joinpath(name)
    return entry.read_text(encoding="utf-8") if entry.is_file() else None
