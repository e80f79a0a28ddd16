"""Ways into JSON that may have any shape, for the parsers beside it: what is not as Kubernetes has it is empty."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from caasctl.hidden import said

Item = Mapping[str, Any]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_MAX_SAID = 2000  # characters of a message; a scheduler's of a large cluster has hundreds


def at(item: object, *path: str) -> Item:
    """The object at a path; empty where there is none."""
    for key in path:
        item = item.get(key) if isinstance(item, Mapping) else None
    return item if isinstance(item, Mapping) else {}


def each(item: object, *path: str) -> Iterator[Item]:
    """The objects of the list at a path."""
    found = at(item, *path[:-1]).get(path[-1])
    if isinstance(found, list):
        yield from (one for one in found if isinstance(one, Mapping))


def text(item: object, *path: str) -> str:
    found = at(item, *path[:-1]).get(path[-1])
    return found[:_MAX_SAID] if isinstance(found, str) else ""


def message(item: object, *path: str) -> str:
    """What a program said, without what has the form of a secret."""
    return said(text(item, *path))


def whole(item: object, *path: str) -> int:
    found = at(item, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) else 0


def texts(item: object, *path: str) -> dict[str, str]:
    """Keys and values of a map of texts; a quantity may be a number."""
    return {key: str(value) for key, value in at(item, *path).items() if isinstance(value, (str, int))}


def listed(item: object, *path: str) -> tuple[str, ...]:
    """The texts of the list at a path."""
    found = at(item, *path[:-1]).get(path[-1])
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def when(*values: object) -> str:
    """The first that is a time of the API, which is in UTC, to the second; "" where none is. The year 1 is Go's way to say never."""
    found = (match[0] for value in values if isinstance(value, str) and (match := _TIME.match(value)))
    return next((f"{at}Z" for at in found if _is_date(at)), "")


def _is_date(at: str) -> bool:
    try:
        return datetime.fromisoformat(at).year > 1
    except ValueError:
        return False


def place(item: object) -> tuple[str, str]:
    """(namespace, name)."""
    return text(item, "metadata", "namespace"), text(item, "metadata", "name")
