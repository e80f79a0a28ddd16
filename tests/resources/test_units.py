"""Unit against a stand-in systemctl: masked, enabled, active, restarted; killed in between; undone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crashing import Killed
from tests.lab.tree_shot import shot
from tests.standins.node import SYSTEMCTL, Node

from caasctl.host import LiveHost
from caasctl.model import CommandError
from caasctl.protocol import Absent, Completed, Done, Impossible, Known, State, Unknown
from caasctl.resources.units import LinkBack, Unit, UnitBack

SWAP = r"dev-disk-by\x2duuid-aa.swap"
WORDS = ("masked", "not masked", "enabled", "disabled", "static", "active", "inactive", "restart owed", "present")
ASPECT = st.sampled_from((None, True, False))


@pytest.fixture
def host(tmp_path: Path) -> Node:
    found = Node(str(tmp_path))
    found.units(chrony__service="disabled/inactive", kubelet__service="enabled/active", x__service="static/inactive")
    found.plant("/proc/stat", "cpu 1\nbtime 1000000000\n")
    return found


def apply(unit: Unit, host: Node) -> object:
    return unit.apply(host, unit.look(host))


@given(enabled=ASPECT, active=ASPECT, masked=ASPECT, words=st.lists(st.sampled_from(WORDS)), lost=st.booleans())
def test_targets_are_their_own_targets(
    enabled: bool | None,  # noqa: FBT001
    active: bool | None,  # noqa: FBT001
    masked: bool | None,  # noqa: FBT001
    words: list[str],
    lost: bool,  # noqa: FBT001
) -> None:
    unit = Unit("x.service", enabled, active, masked)
    state: State = Unknown("x") if lost else Known(", ".join(words)) if words else Absent()
    assert unit.target(unit.target(state)) == unit.target(state)


def test_enabled_and_started_once(host: Node) -> None:
    chrony = Unit("chrony.service", enabled=True, active=True)
    before = chrony.look(host)
    assert before == Known("disabled, inactive")
    assert [apply(chrony, host), apply(chrony, host)] == [Done(), Done()]
    assert chrony.look(host) == chrony.target(before) == Known("enabled, active")
    assert [command[1] for command in host.commands] == ["enable", "start"]
    for command in chrony.undo(before).commands:
        host.execute(*command)
    assert chrony.look(host) == before


def test_disabled_and_stopped(host: Node) -> None:
    kubelet = Unit("kubelet.service", enabled=False, active=False)
    before = kubelet.look(host)
    apply(kubelet, host)
    assert kubelet.look(host) == Known("disabled, inactive")
    for command in kubelet.undo(before).commands:
        host.execute(*command)
    assert kubelet.look(host) == Known("enabled, active")


def test_a_unit_is_masked_though_nothing_of_its_name_exists(host: Node) -> None:
    unit = Unit(SWAP, masked=True)
    before = unit.look(host)
    assert before == Known("not masked")
    assert [apply(unit, host), apply(unit, host)] == [Done(), Done()]
    assert (unit.look(host), host.commands) == (Known("masked"), [("systemctl", "mask", "--", SWAP)])
    host.execute(*unit.undo(before).commands[0])
    assert unit.look(host) == before


def test_masked_and_unmasked_again(host: Node) -> None:
    apply(Unit("chrony.service", masked=True), host)
    open_again = Unit("chrony.service", masked=False, enabled=True)
    apply(open_again, host)
    assert open_again.look(host) == Known("not masked, enabled")


def test_what_cannot_be_masked_says_so(host: Node) -> None:
    host.plant("/etc/systemd/system/data.swap", "[Swap]\n")
    with pytest.raises(CommandError) as caught:
        apply(Unit("data.swap", masked=True), host)
    assert "already exists" in caught.value.cause


def test_what_others_start_needs_no_enabling(host: Node) -> None:
    static = Unit("x.service", enabled=True)
    assert static.target(static.look(host)) == static.look(host) == Known("static")


def test_a_unit_that_is_not_installed_is_absent_and_impossible(host: Node) -> None:
    absent = Unit("crio.service", enabled=True, active=True)
    assert absent.look(host) == Absent()
    outcome = apply(absent, host)
    assert isinstance(outcome, Impossible)
    assert "crio.service" in outcome.fix


def test_without_systemd_nothing_is_known(tmp_path: Path) -> None:
    for host in (Node(str(tmp_path)), LiveHost(str(tmp_path))):
        found = Unit("x.service", active=True).look(host)
        assert isinstance(found, Unknown)
    assert "not been booted with systemd" in Unit("x.service").look(Node(str(tmp_path))).reason  # type: ignore[union-attr]


def test_a_changed_file_is_owed_a_restart_until_it_is_made(host: Node) -> None:
    host.plant("/etc/kubelet.conf", "new")
    kubelet = Unit(
        "kubelet.service", active=True, on_change="restart", after=("file:/etc/kubelet.conf", "file:/etc/none")
    )
    before = kubelet.look(host)
    assert before == Known("active, restart owed")  # the file is of now, the unit started in 2001
    assert kubelet.target(before) == Known("active")
    host.plant("/proc/stat", "btime 4000000000\n")  # as if it had started after the file changed
    assert kubelet.look(host) == Known("active")
    apply(kubelet, host)
    assert host.commands == [("systemctl", "restart", "--", "kubelet.service")]


def test_a_unit_that_does_not_run_is_started_not_restarted(host: Node) -> None:
    host.plant("/etc/chrony.conf", "new")
    chrony = Unit("chrony.service", active=True, on_change="restart", after=("file:/etc/chrony.conf",))
    apply(chrony, host)
    assert [command[1] for command in host.commands] == ["start"]


def test_a_reload_follows_its_file(host: Node) -> None:
    kubelet = Unit("kubelet.service", on_change="reload", after=("file:/etc/x",))
    assert kubelet.look(host) == Known("present")
    apply(kubelet, host)
    assert [command[1] for command in host.commands] == ["reload"]
    assert kubelet.undo(Known("present")).nothing


@pytest.mark.parametrize("at", range(4))
def test_killed_anywhere_the_next_run_finishes(tmp_path: Path, host: Node, at: int) -> None:
    unit = Unit("chrony.service", enabled=True, active=True)
    with pytest.raises(Killed):
        apply(unit, Node(str(tmp_path), at))
    apply(unit, host)
    assert unit.look(host) == Known("enabled, active")
    apply(unit, Node(str(tmp_path), at=0))  # would die at a change


REAL = r"""
mkdir -p "$1/bin" "$1/etc" "$1/work" "$1/run"
mount -t tmpfs none "$1/work" && mkdir "$1/work/up" "$1/work/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/work/up,workdir=$1/work/work" /etc
printf '#!%s\n' "$2" | cat - "$3" > "$1/bin/systemctl"
chmod +x "$1/bin/systemctl"
mount --bind "$1/bin/systemctl" "$(readlink -f "$(PATH=/usr/bin:/bin command -v systemctl)")"
echo '{"now_us": 1, "units": {}}' > "$1/run/systemctl-standin.json"
mount --bind "$1/run" /run
exec "$2" -c "$4"
"""
ASK = """
import json
from caasctl.host import LiveHost
from caasctl.resources.units import Unit
host, unit = LiveHost(), Unit("dev-sdz9.swap", masked=True)
said = [unit.look(host).text]
unit.apply(host, unit.look(host))
unit.apply(host, unit.look(host))
said += [unit.look(host).text, host.readlink("/etc/systemd/system/dev-sdz9.swap"), host.read("/run/systemctl-standin.log")]
print(json.dumps(said))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace with a stand-in bound over systemctl")
@pytest.mark.skipif(not os.path.exists("/usr/bin/systemctl"), reason="there is no systemctl to bind the stand-in over")
def test_a_live_host_runs_systemctl_for_real(tmp_path: Path) -> None:
    argv = ["unshare", "-m", "sh", "-eu", "-c", REAL, "sh", str(tmp_path), sys.executable, str(SYSTEMCTL), ASK]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["not masked", "masked", "/dev/null", "mask dev-sdz9.swap\n"]


def test_a_mask_that_ends_with_this_boot_is_none(tmp_path: Path) -> None:
    class Shown(LiveHost):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            return Completed(argv, 0, "LoadState=masked\nActiveState=inactive\nUnitFileState=masked-runtime\n")

    assert Unit("x.swap", masked=True).look(Shown(str(tmp_path))) == Known("not masked")


class Systemctl(LiveHost):
    """The real systemctl over a tree, where it links and unlinks; `show`, which asks systemd, by its is-enabled."""

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        state = self._systemctl("is-enabled", argv[-1]).stdout.strip()
        return Completed(argv, 0, f"LoadState=loaded\nActiveState=inactive\nUnitFileState={state}\n")

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        done = self._systemctl(*argv[1:])
        if not done.ok:
            raise CommandError("failed", cause=done.stderr)
        return done

    def _systemctl(self, *words: str) -> Completed:
        argv = ("systemctl", f"--root={self.root}", *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return Completed(argv, done.returncode, done.stdout, done.stderr)


SERVICE = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


@pytest.mark.skipif(not os.path.exists("/usr/bin/systemctl"), reason="there is no systemctl")
@pytest.mark.parametrize(
    ("begun", "state"),
    [
        ((), "disabled"),
        (("enable", "x.service"), "enabled"),
        (("enable", "--runtime", "x.service"), "enabled-runtime"),
        (("mask", "x.service"), "masked"),
        (("mask", "--runtime", "x.service"), "masked-runtime"),
        (("link", "/opt/linked.service"), "linked"),
    ],
)
@pytest.mark.parametrize("aspects", [{"enabled": True}, {"enabled": False}, {"masked": True}, {"masked": False}])
def test_whatever_state_a_unit_was_in_undo_brings_its_links_back(
    tmp_path: Path, begun: tuple[str, ...], state: str, aspects: dict[str, bool]
) -> None:
    host = Systemctl(str(tmp_path))
    for folder, name in (("/usr/lib/systemd/system", "x"), ("/opt", "linked")):
        host.write(f"{folder}/{name}.service", SERVICE.encode())
    host.private_folder("/etc/systemd/system")
    if begun:
        host.execute("systemctl", *begun)
    unit = Unit("linked.service" if state == "linked" else "x.service", **aspects)  # type: ignore[arg-type]
    before, now = shot(tmp_path), unit.look(host)
    if unit.target(now) != now:
        with suppress(CommandError):  # systemctl enables nothing that is masked; the way back must do no harm then
            unit.apply(host, now)
    for command in unit.undo(now).commands:
        host.execute(*command)
    assert {path: found for path, found in shot(tmp_path).items() if found[3] != "a folder"} == {
        path: found for path, found in before.items() if found[3] != "a folder"
    }


@pytest.mark.skipif(not os.path.exists("/usr/bin/systemctl"), reason="there is no systemctl")
def test_a_reset_leaves_a_unit_linked_that_was(tmp_path: Path) -> None:
    host = Systemctl(str(tmp_path))
    host.write("/opt/linked.service", SERVICE.encode())
    host.private_folder("/etc/systemd/system")
    host.execute("systemctl", "link", "/opt/linked.service")
    before = {path: found for path, found in shot(tmp_path).items() if found[3] != "a folder"}
    unit = Unit("linked.service", enabled=True)
    unit.apply(host, unit.look(host))
    for resource in (UnitBack("linked.service", enabled=False), LinkBack("/opt/linked.service")):
        resource.apply(host, resource.look(host))
    assert {path: found for path, found in shot(tmp_path).items() if found[3] != "a folder"} == before
    for resource in (UnitBack("linked.service", enabled=False), LinkBack("/opt/linked.service")):
        assert resource.target(resource.look(host)) == resource.look(host)
