"""Runs inside the chroot of node.sh, without a network: phase packages from an air gap's folder; prints what came of it as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.packages.node import caasctl, state

FOLDER = "/srv/k8s/air gap"  # apt reads addresses
SET = ("--set", "runtimes=[runc]", "--airgap", FOLDER)


def main() -> dict[str, Any]:
    Path("/etc/apt/sources.list").write_text("deb http://deb.debian.org/debian bookworm main\n")
    before = state()
    plan = caasctl("init-node", "--phase", "packages", "--dry-run", *SET)
    first = caasctl("init-node", "--phase", "packages", "--yes", *SET)
    after = state()
    second = caasctl("init-node", "--phase", "packages", "--yes", *SET)
    undone = caasctl("undo", "--yes")
    return {"before": before, "plan": plan, "first": first, "after": after, "second": second, "undone": undone, "back": state(),
            "lists": sorted(path.name for path in Path("/var/lib/apt/lists").glob("*deb.debian.org*"))}  # fmt: skip


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
