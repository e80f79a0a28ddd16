"""Stanzas of `Field: value` lines, as in dpkg's status, Release files, deb822 sources and apt's preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Field in lower case -> value; lines that go on are joined by newlines, comments are left out. Source: deb822(5)."""
    found: dict[str, str] = {}
    field = ""
    for line in (*text.splitlines(), ""):
        if not line.strip():
            if found:
                yield found
            found, field = {}, ""
        elif line[0] in " \t":
            found |= {field: f"{found[field]}\n{line.strip()}"} if field else {}
        elif not line.startswith("#"):
            name, _, value = line.partition(":")
            field = name.strip().lower()
            found[field] = value.strip()
