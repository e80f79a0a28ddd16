"""Runs inside the namespace of node.sh: phase boot, caasctl's trial entry, then reset's phase on Debian's real GRUB tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.grub.cases import CASES
from tests.grub.node import HOST, MENU, PROFILE, apply, desired, write

from caasctl import engine
from caasctl.facts import boot
from caasctl.facts.ownership import GRUB, TRIAL, Record, read_own_files
from caasctl.model import HEADER, Facts
from caasctl.protocol import Resource
from caasctl.resets.boot import PHASE

ENVIRONMENT = "/boot/grub/grubenv"
SCRIPT = f"#!/bin/sh\n{HEADER}echo \"menuentry 'trial' --id caasctl-trial {{\"\necho '  linux /vmlinuz ro'\necho '}}'\n"
THEIRS = "#!/bin/sh\necho \"menuentry 'theirs' { true\"\necho '}'\n"


def resets() -> list[Resource]:
    """Without a record: this namespace has the machine's own /var."""
    read = engine.collect(HOST, boot.PROBES)
    return list(PHASE.desired(Facts([*read.known(), Record(), read_own_files(HOST)], read.unread()), PROFILE))


def editenv(*words: str) -> str:
    return (
        HOST.execute("grub-editenv", ENVIRONMENT, *words).stdout
        or HOST.query("grub-editenv", ENVIRONMENT, "list").stdout
    )


def main(case: str, next_entry: str) -> dict[str, Any]:
    write(CASES[case])
    write({"/etc/grub.d/41_theirs": THEIRS})
    Path("/etc/grub.d/41_theirs").chmod(0o755)
    editenv("create")
    HOST.execute("update-grub")
    before = MENU.read_bytes(), Path("/etc/default/grub").read_text() if Path("/etc/default/grub").exists() else ""
    apply(desired())
    write({TRIAL: SCRIPT})
    Path(TRIAL).chmod(0o755)
    HOST.execute("update-grub")
    editenv("set", f"next_entry={next_entry}", "saved_entry=theirs")
    changed = "caasctl-trial" in MENU.read_text() and "intel_iommu=on" in MENU.read_text()
    first = apply(resets())
    after = MENU.read_bytes(), Path("/etc/default/grub").read_text() if Path("/etc/default/grub").exists() else ""
    return {"changed": changed, "first": first, "same": after == before, "again": apply(resets()), "environment": editenv("list"),
            "left": [path for path in (GRUB, TRIAL) if Path(path).exists()]}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
