"""The texts of a finished recording as it lies on the disk, each with the place it stands in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from caasctl import formats
from caasctl.redaction.leaks import Scan


def texts(folder: str, scan: Scan) -> Iterator[tuple[str, str]]:
    """(where, text) of all that lies in a finished recording: contents, names, links, each answer. where: without what leaks."""
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.relpath(f"{at}/{name}", folder).removeprefix("root")
            yield f"the name of a file below {os.path.dirname(path) or '/'}", path
            if os.path.islink(f"{at}/{name}"):
                yield f"the link {path}", os.readlink(f"{at}/{name}")
            elif name in files:
                with open(f"{at}/{name}", "rb") as file:
                    yield from _in_file(path, file.read().decode("utf-8", "surrogateescape"), scan)


def _in_file(path: str, text: str, scan: Scan) -> Iterator[tuple[str, str]]:
    if path not in ("commands.json", "manifest.json"):
        yield f"the file {path}", text
        return
    for entry in formats.parse_json(text, path) if path == "commands.json" else ():
        words = " ".join("..." if any(scan.leaks(word)) else word for word in entry["argv"])
        yield from ((f"the command `{words}`", said) for said in (*entry["argv"], entry["stdout"], entry["stderr"]))
    for key, value in formats.parse_json(text, path).items() if path == "manifest.json" else ():
        yield from ((f"{path}, {key}", said) for said in _strings(value))


def _strings(value: Any) -> Iterator[str]:
    """Every text in a part of the manifest, each as redaction had it: a path beside its reason reads like a setting."""
    if isinstance(value, dict):
        yield from value
        yield from (text for each in value.values() for text in _strings(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _strings(each))
    elif isinstance(value, str):
        yield value
