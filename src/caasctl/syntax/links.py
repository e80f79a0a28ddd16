"""What lies at a path that a symbolic link of caasctl's takes, in the words of a state and of a run's record."""

from __future__ import annotations

_TO = "a symbolic link to "
DIRECTORY = "a directory"
MOVED = ".before-caasctl"  # behind the name of a directory that a link took the place of


def words(target: str) -> str:
    """Of a link, as written in it."""
    return _TO + target


def target(said: str) -> str | None:
    """Where the link leads that the words are of; None where they are of no link."""
    return said.removeprefix(_TO) if said.startswith(_TO) else None


def aside(path: str) -> str:
    """Where a directory waits whose place a link took."""
    return path + MOVED
