"""/etc/default/grub, or a drop-in beside it."""

from __future__ import annotations

import re
from typing import Any

from caasctl.doctor.files.kind import Kind, World
from caasctl.facts.given import GRUB, Given

_DEFAULTS = "/etc/default/grub"


def _known(_data: Any) -> bool:
    return False  # a shell text: its words tell


def _world(given: Given) -> World:
    """A host that GRUB starts, on which no argument is in effect yet."""
    files = {
        _DEFAULTS: given.text,
        "/proc/cmdline": "",
        "/proc/mounts": "",
        "/boot/grub/grub.cfg": "",
        "/etc/debian_version": "",
    }
    return World(files, ("/usr/sbin/grub-mkconfig", "/usr/sbin/update-grub"))


KIND = Kind(
    GRUB,
    _known,
    re.compile(r"^[ \t]*(?:export[ \t]+)?GRUB_[A-Z_]+\+?=", re.MULTILINE),
    format="shell",
    places=lambda given: {_DEFAULTS: given.text},
    worlds=lambda given: (_world(given),),
    checks=("boot.grub_config_parses", "boot.cmdline_conflict", "boot.cmdline_useless"),
)
