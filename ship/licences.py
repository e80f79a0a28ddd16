"""The copyright file of the Debian package: whose each part is, and under which words, from what each package says of itself."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: caasctl
"""


def copyright_file(library: Path) -> str:
    """library: the folder with all packages and their .dist-info. Raises LookupError where one names no licence."""
    parts = [
        _paragraph(info)
        for info in sorted(library.glob("*.dist-info"), key=lambda info: not info.name.startswith("caasctl-"))
    ]
    return "\n".join([HEAD, *parts])


def _paragraph(info: Path) -> str:
    said: Message = email.message_from_string((info / "METADATA").read_text())
    files = "*" if said["Name"] == "caasctl" else "\n ".join(_places(info))
    texts = [path.read_text() for path in sorted(info.rglob("*")) if path.is_file() and path.name != "METADATA"]
    licence = said["License-Expression"] or _short(said)
    if not texts or not licence:
        raise LookupError(f"{info.name} has no licence in it")
    return f"Files: {files}\nCopyright: {_holder(said, texts)}\nLicense: {licence}\n{_told(texts)}\n"


def _places(info: Path) -> Iterator[str]:
    """Where a package's files are: its own names, and its .dist-info."""
    name = re.split(r"-\d", info.name)[0].lower()
    also = {"pyyaml": "yaml", "attrs": "attr", "cattrs": "cattr"}.get(name)
    for each in (name, also):
        there = [path for path in info.parent.iterdir() if each and path.name.removesuffix(".py").lower() == each]
        yield from (f"usr/lib/caasctl/{path.name}{'/*' if path.is_dir() else ''}" for path in there)
    yield f"usr/lib/caasctl/{info.name}/*"


def _short(said: Message) -> str:
    """SPDX's name, of a package that still says it in words."""
    words = said["License"] or "".join(said.get_all("Classifier", [])).rpartition("OSI Approved :: ")[2]
    return {"BSD License": "BSD-3-Clause", "MIT License": "MIT", "ISC License": "ISC"}.get(words, words)


def _holder(said: Message, texts: list[str]) -> str:
    found = re.findall(r"(?im)^\W*copyright (?:\(c\) )?([^\n]*\d{4}[^\n]*)$", "\n".join(texts))
    return (
        "\n ".join(dict.fromkeys(line.strip() for line in found))
        or said["Author"]
        or said["Author-email"]
        or f"the developers of {said['Name']}"
    )


def _told(texts: list[str]) -> str:
    """The words themselves; of Apache's, where Debian has them."""
    own = [text for text in texts if "Apache License" not in text[:200]]
    lines = [line for text in own for line in text.strip().splitlines()]
    also = [".", "On Debian systems the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0."]
    return "\n".join(
        f" {line.rstrip() or '.'}" for line in [*lines, *(also if own != texts else [])][0 if own else 1 :]
    )
