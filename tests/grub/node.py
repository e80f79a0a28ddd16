"""Runs inside the namespace of node.sh: drives phase boot on Debian's real grub-mkconfig and prints what came of it as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.grub.cases import CASES

from caasctl import engine
from caasctl.facts import boot, boot_entries
from caasctl.facts.boot import OURS, CommandLine
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.host import LiveHost
from caasctl.model import CaasError, Facts
from caasctl.phases.boot import PHASE
from caasctl.profile import Boot, Kubernetes, Metadata, NodeProfile, Spec
from caasctl.protocol import Resource

HOST = LiveHost()
PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("test"), Spec(Kubernetes("v1.36.4"),
                      boot=Boot(kernelArgs=("transparent_hugepage=madvise",))))  # fmt: skip
IDLE = replace(PROFILE, spec=replace(PROFILE.spec, boot=Boot(iommu="off")))
LITERAL = (CgroupLayout("hybrid", ()), Systemd(True, 245, "hybrid"), Iommu(("DMAR",)), CommandLine("ro quiet"))
MENU = Path("/boot/grub/grub.cfg")


def facts(*, unified: bool = False) -> Facts:
    read = engine.collect(HOST, (*boot.PROBES, *boot_entries.PROBES))
    literal = (*LITERAL, *((CgroupLayout("unified", ()), Systemd(True, 252, "unified")) if unified else ()))
    return Facts((*read.known(), *literal), read.unread())


def write(files: dict[str, str]) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)


def desired(profile: NodeProfile = PROFILE, *, unified: bool = False) -> list[Resource]:
    """Without the running command line, which no test can change."""
    resources = PHASE.desired(facts(unified=unified), profile)
    return [resource for resource in resources if not resource.name.startswith("cmdline:")]


def apply(resources: list[Resource]) -> list[str]:
    changed = []
    for resource in resources:
        now = resource.look(HOST)
        if resource.target(now) != now:
            resource.apply(HOST, now)
            changed.append(resource.name)
    return changed


def state() -> dict[str, Any]:
    entries = facts()[BootEntries]
    return {
        "normal": [list(entry.arguments) for entry in entries.normal],
        "recovery": [list(entry.arguments) for entry in entries.entries if not entry.normal],
        "default": entries.default.title if entries.default else "",
        "drop_in": Path(OURS).read_text() if Path(OURS).exists() else "",
        "leftovers": [str(path) for path in Path("/run/caasctl").rglob("*")] if Path("/run/caasctl").exists() else [],
    }


def converge(case: str) -> dict[str, Any]:
    write(CASES[case])
    HOST.execute("update-grub")
    plain, before = state(), desired()
    first = apply(before)
    return {"before": plain, "first": first, "second": apply(desired()), "same": before == desired(), **state()}


def pending(case: str) -> dict[str, Any]:
    """A menu older than the user's own file, which already asks for what is wanted."""
    write(CASES["debian"])
    HOST.execute("update-grub")
    write(CASES[case])
    return {"first": apply(desired()), "second": apply(desired()), **state()}


def killed(case: str) -> dict[str, Any]:
    """Killed between the drop-in and update-grub, then run again."""
    write(CASES[case])
    HOST.execute("update-grub")
    grub, *_ = desired()
    member = grub.members[0]  # type: ignore[attr-defined]
    member.apply(HOST, member.look(HOST))
    return {"first": apply(desired()), "second": apply(desired()), **state()}


def refused(case: str) -> dict[str, Any]:
    """A menu that was made of a good configuration, then the case's files, then a run."""
    write(CASES["debian"])
    HOST.execute("update-grub")
    was = MENU.read_bytes()
    write(CASES[case])
    try:
        apply(desired())
    except CaasError as error:
        said = {"problem": error.problem, "cause": error.cause, "fix": error.fix}
        return {**said, "kept": MENU.read_bytes() == was, **state()}
    return {"problem": "", **state()}


def withdrawn(case: str) -> dict[str, Any]:
    """Ours is there, then the profile wants nothing any more; and the same after a kill behind the removal."""
    write(CASES[case])
    apply(desired())
    gone = apply(desired(IDLE, unified=True))
    after = state()
    apply(desired())
    Path(OURS).unlink()
    return {"gone": gone, "after": after, "again": apply(desired(IDLE, unified=True)),
            "idle": apply(desired(IDLE, unified=True)), **state()}  # fmt: skip


SCENARIOS = {"converge": converge, "pending": pending, "killed": killed, "refused": refused, "withdrawn": withdrawn}
if __name__ == "__main__":
    print(json.dumps(SCENARIOS[sys.argv[1]](sys.argv[2])))
