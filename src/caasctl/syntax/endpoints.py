"""Hosts in the ways that programs name servers: URLs, HOST:PORT, image names."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"^[A-Za-z][\w+.-]*://")


def host_of(text: str) -> str:
    """The host of a URL, of HOST:PORT, [IPV6]:PORT or HOST/PATH; "" where there is none."""
    rest = _SCHEME.sub("", text.strip()).split("/")[0].rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest if rest.count(":") > 1 else rest.partition(":")[0]
