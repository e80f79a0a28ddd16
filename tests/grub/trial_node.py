"""Runs inside the namespace of node.sh and disk.sh: init-node's phase boot through trial boots on Debian's real GRUB tools, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.grub.cases import CASES

from caasctl import engine, ledger
from caasctl.apply import Run
from caasctl.facts import boot, boot_entries, boot_once
from caasctl.facts.boot import OURS
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.host import LiveHost
from caasctl.ledger import Ledger
from caasctl.model import CaasError
from caasctl.phases.boot import PHASE
from caasctl.profile import Boot, Kubernetes, Metadata, NodeProfile, Spec
from caasctl.protocol import Completed, PhaseReport, Probe
from caasctl.syntax import grub_menu
from caasctl.syntax.grub_menu import trial
from caasctl.verdicts import run_exit

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("test"), Spec(Kubernetes("v1.36.4"),
                      boot=Boot(kernelArgs=("transparent_hugepage=madvise",))))  # fmt: skip
MENU, ENVIRONMENT, CMDLINE = Path("/boot/grub/grub.cfg"), Path("/boot/grub/grubenv"), Path("/run/cmdline")


def literal(fact: object) -> Probe:
    return Probe(type(fact), lambda _host: fact)


LITERAL = (CgroupLayout("hybrid", ()), Systemd(True, 245, "hybrid"), Iommu(("DMAR",)))
PROBES = (*boot.PROBES, *boot_entries.PROBES, *boot_once.PROBES, *(literal(fact) for fact in LITERAL))
PLACES = ("/etc/default", "/etc/grub.d", "/boot")


class Killed(BaseException):
    """No `except Exception` of the program may catch it."""


class Mortal(LiveHost):
    """Dies before the change number `at`; the commands are real."""

    def __init__(self, at: int = -1) -> None:
        super().__init__()
        self.at, self.changes = at, 0

    def _count(self) -> None:
        if self.at == self.changes:
            raise Killed
        self.changes += 1

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        self._count()
        super().write(path, data, mode, owner)

    def remove(self, path: str) -> None:
        self._count()
        super().remove(path)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self._count()
        return super().execute(*argv, timeout_s=timeout_s, direct=direct)


def run(profile: NodeProfile = PROFILE, host: LiveHost | None = None, name: str = "run") -> PhaseReport:
    host = host or LiveHost()
    made = Run(host, profile, Ledger(host, name), lambda _line: None, lambda: False, PROBES)
    (report,) = made.phases((PHASE,), engine.collect(host, PROBES))
    return report


def told(report: PhaseReport) -> dict[str, Any]:
    return {
        "exit": int(run_exit([report])),
        "message": report.message,
        "changed": [change.resource.name for change in report.changes],
        "findings": {finding.id: finding.found for finding in report.findings},
    }


def boots() -> str:
    """What GRUB does with grub.cfg and grubenv, and the kernel with what it is given."""
    menu = grub_menu.parse(MENU.read_text())
    entry = menu.booted(grub_menu.environment(ENVIRONMENT.read_text()))
    if trial.NEXT in grub_menu.environment(ENVIRONMENT.read_text()):
        LiveHost().execute("grub-editenv", str(ENVIRONMENT), "set", f"{trial.NEXT}=")  # as its save_env leaves it
    assert entry
    CMDLINE.write_text(f"BOOT_IMAGE={entry.kernel} {' '.join(entry.arguments)}\n")
    return entry.id


def state() -> dict[str, Any]:
    menu = grub_menu.parse(MENU.read_text())
    found = menu.with_id(trial.ID)
    script = Path(trial.SCRIPT)
    LiveHost().execute("grub-script-check", str(MENU))
    return {
        "normal": [list(entry.arguments) for entry in menu.entries if entry.normal],
        "trial": list(found.arguments) if found else None,
        "kernel": found.kernel if found else "",
        "title": found.title if found else "",
        "script": oct(script.stat().st_mode & 0o7777) if script.exists() else None,
        "drop_in": Path(OURS).read_text() if Path(OURS).exists() else "",
        "environment": dict(grub_menu.environment(ENVIRONMENT.read_text())),
        "leftovers": [str(path) for path in Path("/run/caasctl").rglob("*") if path.is_file()],
    }


def files() -> dict[str, tuple[str, int]]:
    """Every file that a run could change: its bytes and mode."""
    found = [path for place in PLACES for path in sorted(Path(place).rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes().hex(), path.stat().st_mode) for path in found}


def start(case: str) -> None:
    for path in (Path(OURS), Path(trial.SCRIPT)):
        path.unlink(missing_ok=True)
    for name, text in CASES[case].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = LiveHost()
    host.execute("grub-editenv", str(ENVIRONMENT), "create")
    host.execute("update-grub")
    if not CMDLINE.exists():
        CMDLINE.touch()
        host.execute("mount", "--bind", str(CMDLINE), "/proc/cmdline")
    boots()


def converges(case: str) -> dict[str, Any]:
    """Run, run again, the reboot, run, run again, another reboot, run again."""
    start(case)
    found: dict[str, Any] = {"before": state()}
    for step in ("armed", "again", "trial", "permanent", "third", "normal", "fourth"):
        found[step] = {"entry": boots()} if step in {"trial", "normal"} else {**told(run()), **state()}
    return found


def hangs(case: str) -> dict[str, Any]:
    """The trial does not come up and the machine is power-cycled; then the command is run again, and the trial comes up."""
    start(case)
    run()
    found: dict[str, Any] = {"first": boots(), "after": boots(), "cmdline": CMDLINE.read_text(), "left": state()}
    return {**found, "again": told(run()), "armed": state(), "second": boots(), "permanent": told(run()), **state()}


def withdrawn(case: str) -> dict[str, Any]:
    """Undo of an armed trial, of one that another one-time boot has replaced since, and of the permanent arguments."""
    start(case)
    was = files()
    run(name="one")
    steps = [step.text for step in ledger.take_back(LiveHost(), "one") if not step.done]
    armed = {"left": steps, "same": files() == was}
    run(name="two")
    LiveHost().execute("grub-reboot", "0")
    list(ledger.take_back(LiveHost(), "two"))
    foreign = state()["environment"]
    start(case)
    was = files()
    run(name="three")
    boots()
    run(name="four")
    for name in ("four", "three"):
        list(ledger.take_back(LiveHost(), name))
    return {"armed": armed, "foreign": foreign, "same": files() == was, **state()}


def killed(case: str) -> dict[str, Any]:
    """Killed before each change, of the run that arms and of the one that makes permanent, then run again."""
    wrong, moments = [], [0, 0]
    for at in range(30):
        start(case)
        early = _dies(at)
        armed, then = told(run()), state()
        if armed["exit"] != 4 or then["environment"].get(trial.NEXT) != trial.ID or then["drop_in"]:
            wrong.append([at, armed, then])
        boots()
        late = _dies(at)
        permanent, then = told(run()), state()
        if permanent["exit"] or then["script"] or then["trial"] or not then["drop_in"]:
            wrong.append([at, permanent, then])
        if not early and not late:
            break
        moments = [moments[0] + early, moments[1] + late]
    return {"wrong": wrong, "moments": moments}


def _dies(at: int) -> bool:
    try:
        run(host=Mortal(at))
    except Killed:
        return True
    return False


def another(case: str) -> dict[str, Any]:
    """Somebody armed another entry; then only the resource, which a gate would have kept from starting."""
    start(case)
    LiveHost().execute("grub-reboot", "1>2")
    report, was = told(run()), files()
    first = next(iter(PHASE.desired(engine.collect(LiveHost(), PROBES), PROFILE)))
    try:
        first.apply(LiveHost(), first.look(LiveHost()))
        said = ""
    except CaasError as error:
        said = f"{error.problem} {error.cause} {error.fix}"
    return {**report, "said": said, "kept": files() == was}


def saved(case: str) -> dict[str, Any]:
    """GRUB_DEFAULT=saved, and the older kernel is the saved one."""
    start(case)
    defaults = Path("/etc/default/grub")
    defaults.write_text(
        CASES[case][str(defaults)].replace("GRUB_DEFAULT=0", "GRUB_DEFAULT=saved\nGRUB_SAVEDEFAULT=true")
    )
    LiveHost().execute("update-grub")
    LiveHost().execute("grub-set-default", "1>2")
    boots()
    armed = told(run())
    text = Path(trial.SCRIPT).read_text()
    return {**armed, **state(), "text": text, "trial_boot": boots(), "permanent": told(run()), "normal_boot": boots(),
            "cmdline": CMDLINE.read_text()}  # fmt: skip


def changed(case: str) -> dict[str, Any]:
    """Other arguments than the permanent ones, then fewer, then the old kernel is gone while the trial is armed."""
    start(case)
    run()
    boots()
    run()
    boots()
    other = replace(PROFILE, spec=replace(PROFILE.spec, boot=Boot(kernelArgs=("audit=0",))))
    armed = {**told(run(other)), **state()}
    boots()
    permanent = {**told(run(other)), **state()}
    fewer = {**told(run(replace(PROFILE, spec=replace(PROFILE.spec, boot=Boot())))), **state()}
    run(PROFILE)
    Path("/boot/vmlinuz-6.1.0-41-amd64").rename("/boot/old")
    LiveHost().execute("update-grub")
    return {"armed": armed, "permanent": permanent, "fewer": fewer, "gone": state(), "boots": boots()}


def stale(case: str) -> dict[str, Any]:
    """The user's own edit, a foreign argument and another default, never reached the menu before the run."""
    start(case)
    text = CASES[case]["/etc/default/grub"].replace('"quiet"', '"loglevel=3"')
    Path("/etc/default/grub").write_text(text)
    return {"armed": {**told(run()), **state()}, "again": told(run())}


SCENARIOS = {each.__name__: each for each in (converges, hangs, withdrawn, killed, another, saved, changed, stale)}
print(json.dumps(SCENARIOS[sys.argv[1]](sys.argv[2])))
