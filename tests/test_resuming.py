"""--auto-reboot: what it refuses, the unit it writes, and its tries, each cut off anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl import rebooted, resuming
from caasctl.host import LiveHost
from caasctl.model import CaasError, Exit, UsageError
from caasctl.protocol import Completed
from caasctl.resuming import Asked, Pending, Then

ASKED = Asked("init-node", "single-node")
PROGRAM = ("/usr/bin/python3", "/opt/caasctl/bin/caasctl")
FIRST = Pending("one", "init-node", 0, ("boot: without intel_iommu=on",))
ODD = Asked(
    "join-node", "/etc/a b/100%.yaml", ('spec.x="$HOME" \\ {a: 1}', "-a=;"), ("boot",), ("cilium",), "/root/it's.txt"
)


def boot(host: LiveHost, boot_id: str) -> None:
    host.write(rebooted.BOOT_ID, f"{boot_id}\n".encode())


@pytest.fixture
def host(tmp_path: Path) -> CrashingHost:
    tree = CrashingHost(str(tmp_path))
    boot(tree, "one")
    return tree


def left(host: LiveHost) -> list[str]:
    paths = (resuming.STATE, resuming.UNIT_FILE, resuming.WANTED, resuming.PROXIES, resuming.MOTD, rebooted.PATH)
    return [path for path in paths if host.stat(path, follow=False)]


# -- what is refused ---------------------------------------------------------------------------------------------------
class Starting(LiveHost):
    """A tree with systemd, in which `caasctl version` says what it is told to."""

    says = Completed((), 0, "caasctl 0.1\n")

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv == (*PROGRAM, "version")
        return self.says


@pytest.fixture
def starting(tmp_path: Path) -> Starting:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return Starting(str(tmp_path))


def refused(host: LiveHost, asked: Asked, program: tuple[str, ...] = PROGRAM) -> str:
    with pytest.raises(UsageError) as error:
        resuming.refuse(host, asked, program)
    assert error.value.cause
    assert error.value.fix
    return error.value.problem


def test_what_can_go_on_is_not_refused(starting: Starting) -> None:
    resuming.refuse(starting, replace(ASKED, profile="/etc/node.yaml", token_file="/root/join.txt"), PROGRAM)


def test_a_token_from_standard_input_is_refused(starting: Starting) -> None:
    assert "standard input" in refused(starting, replace(ASKED, token_file="-"))


@pytest.mark.parametrize("path", ["/tmp/node.yaml", "/run/x/node.yaml", "/dev/fd/63", "/proc/self/fd/3"])
def test_a_file_that_the_reboot_takes_is_refused(starting: Starting, path: str) -> None:
    assert path in refused(starting, replace(ASKED, token_file=path))
    if path.endswith("yaml"):
        assert path in refused(starting, replace(ASKED, profile=path))
    assert path in refused(starting, ASKED, ("/usr/bin/python3", path))


def test_a_host_without_systemd_is_refused(host: CrashingHost) -> None:
    assert "needs systemd" in refused(host, ASKED)


def test_a_caasctl_that_does_not_start_with_systemds_environment_is_refused(starting: Starting) -> None:
    starting.says = Completed((), 1, "", "Traceback\nNo module named caasctl")
    with pytest.raises(UsageError) as error:
        resuming.refuse(starting, ASKED, PROGRAM)
    assert "No module named caasctl" in error.value.cause


def test_this_caasctl_starts_as_it_says() -> None:
    program = resuming.program()  # pytest's own here
    assert program[0] == sys.executable
    assert all(os.path.isabs(word) for word in program if word not in ("-m", "caasctl"))


# -- the unit ----------------------------------------------------------------------------------------------------------
def test_the_unit_runs_the_same_command_with_absolute_paths() -> None:
    here = os.getcwd()
    asked = Asked("join-node", "./node.yaml", ("a=1",), ("boot",), ("cilium",), "join.txt", "disc.conf")
    words = [
        "join-node",
        "--yes",
        "--auto-reboot",
        "--resumed",
        f"--profile={here}/node.yaml",
        "--set=a=1",
        "--phase=boot",
    ]
    words += ["--skip-phases=cilium", f"--token-file={here}/join.txt", f"--discovery-file={here}/disc.conf"]
    assert list(asked.words()) == words
    assert Asked("init-node", "single-node").words()[-1] == "--profile=single-node"


def test_the_unit_says_when_it_runs_and_how_long() -> None:
    text = resuming.unit_text(ASKED, PROGRAM)
    for line in (
        "ConditionPathExists=/var/lib/caasctl/resume.json",
        "WantedBy=multi-user.target",
        "Wants=network-online.target",
        "Type=oneshot",
        "TimeoutStartSec=infinity",
        "StandardOutput=journal+console",
        "RequiresMountsFor=/usr/bin/python3 /opt/caasctl/bin/caasctl /var/lib/caasctl/resume.json",
    ):
        assert line in text.splitlines()
    assert re.search(r"^After=network-online\.target", text, re.MULTILINE)
    assert "PATH=" not in text


@pytest.mark.parametrize("asked", [ASKED, ODD], ids=["plain", "odd"])
def test_systemd_accepts_the_unit(tmp_path: Path, asked: Asked) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / resuming.UNIT
    unit.write_text(resuming.unit_text(asked, (sys.executable, "/opt/caas ctl%/caasctl")))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert resuming.UNIT not in done.stderr
    assert done.returncode == 0, done.stderr


def test_proxies_go_on_in_a_file_for_root_only(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.crashing import CrashingHost; from tests.test_resuming import ASKED, PROGRAM, FIRST; from caasctl import resuming;"
        " resuming.arm(CrashingHost(sys.argv[1]), ASKED, PROGRAM, FIRST)"
    )
    environment = {**os.environ, "HTTPS_PROXY": "http://me:p$w@proxy:3128", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    host = LiveHost(str(tmp_path))
    there = host.stat(resuming.PROXIES)
    assert there
    assert there.mode == 0o600
    assert 'HTTPS_PROXY="http://me:p\\$w@proxy:3128"' in (host.read(resuming.PROXIES) or "")
    assert "p$w" not in (host.read(resuming.UNIT_FILE) or "") + (host.read(resuming.STATE) or "")


def test_a_file_that_is_gone_stops_it_before_the_reboot(host: CrashingHost) -> None:
    asked = replace(ASKED, profile="/etc/node.yaml")
    with pytest.raises(CaasError, match=r"/etc/node.yaml is gone"):
        resuming.arm(host, asked, PROGRAM, FIRST)
    assert left(host) == []
    host.write("/etc/node.yaml", b"")
    resuming.arm(host, asked, PROGRAM, FIRST)
    assert host.commands == [("systemctl", "enable", "--", resuming.UNIT)]


@pytest.mark.parametrize("moment", range(8))
def test_a_death_while_it_is_set_up_leaves_nothing_that_cannot_be_taken_away(tmp_path: Path, moment: int) -> None:
    host = CrashingHost(str(tmp_path), moment)
    try:
        resuming.arm(host, ASKED, PROGRAM, FIRST)
    except Killed:
        pass
    else:
        assert host.changes * 2 <= moment
    if host.stat(resuming.UNIT_FILE):
        assert resuming.read(host) == FIRST  # a unit never waits without the count of its tries
    after = CrashingHost(str(tmp_path))
    assert resuming.cancel(after) == ()
    assert left(after) == []


# -- tries -------------------------------------------------------------------------------------------------------------
def test_a_try_counts_before_it_begins_and_three_that_die_are_the_end(host: CrashingHost) -> None:
    resuming.arm(host, ASKED, PROGRAM, FIRST)
    for number in (1, 2, 3):
        boot(host, f"boot {number}")
        assert resuming.begin(LiveHost(host.root)).tries == number  # and then the power is cut
    boot(host, "boot 4")
    with pytest.raises(CaasError, match="tried 3 times"):
        resuming.begin(host)
    assert left(host) == [resuming.MOTD]
    assert "tried 3 times" in (host.read(resuming.MOTD) or "")


def test_the_boot_that_asked_for_the_reboot_is_no_try(host: CrashingHost) -> None:
    resuming.arm(host, ASKED, PROGRAM, FIRST)
    with pytest.raises(UsageError, match="not rebooted yet"):
        resuming.begin(host)
    assert resuming.read(host) == FIRST


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"bootId": "x", "word": "init-node", "tries": "1", "whys": []}']
)
def test_a_count_that_cannot_be_read_is_no_try(host: CrashingHost, text: str | None) -> None:
    if text is not None:
        host.write(resuming.STATE, text.encode())
    with pytest.raises(UsageError, match="nothing to go on with"):
        resuming.begin(host)


@pytest.mark.parametrize(
    ("code", "why", "tries", "then"),
    [
        (Exit.OK, "", 1, Then.GONE),
        (Exit.FAILED_CHECK, "", 1, Then.GONE),
        (Exit.USAGE, "", 1, Then.GONE),
        (Exit.FAILED_CHANGE, "", 1, Then.GONE),
        (Exit.UNDETERMINED, "", 1, Then.GONE),
        (Exit.BUG, "", 1, Then.GONE),
        (Exit.REBOOT, "gpu: vfio", 1, Then.REBOOT),
        (Exit.REBOOT, "gpu: vfio", 2, Then.REBOOT),
        (Exit.REBOOT, "gpu: vfio", 3, Then.GONE),
        (Exit.REBOOT, "boot: without intel_iommu=on", 1, Then.GONE),
        (Exit.LOCKED, "", 1, Then.KEPT),
        (Exit.LOCKED, "", 3, Then.GONE),
        (Exit.INTERRUPTED, "", 2, Then.KEPT),
        (Exit.INTERRUPTED, "", 3, Then.GONE),
    ],
)
def test_how_a_try_ends(code: Exit, why: str, tries: int, then: Then) -> None:
    assert resuming.ended(code, why, replace(FIRST, tries=tries))[0] is then


def test_no_sequence_of_ends_reboots_more_often_than_there_are_tries(host: CrashingHost) -> None:
    resuming.arm(host, ASKED, PROGRAM, FIRST)
    reboots = 0
    for number in range(10):
        boot(host, f"boot {number}")
        pending = resuming.begin(host)
        then, _ = resuming.ended(Exit.REBOOT, f"always another reason {number}", pending)
        if then is not Then.REBOOT:
            resuming.remove(host)
            break
        reboots += 1
        resuming.arm(host, ASKED, PROGRAM, replace(pending, boot_id=f"boot {number}"))
    assert reboots == resuming.TRIES - 1
    assert left(host) == []


# -- the end -----------------------------------------------------------------------------------------------------------
class Deaf(CrashingHost):
    """No systemctl answers."""

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        raise CaasError(f"`{' '.join(argv)}` failed", cause="no D-Bus", fix="")


def enabled(host: LiveHost) -> None:
    resuming.arm(host, ASKED, PROGRAM, FIRST)
    link = Path(f"{host.root}{resuming.WANTED}")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(resuming.UNIT_FILE)


def test_undo_takes_unit_link_state_and_marker_away(host: CrashingHost) -> None:
    enabled(host)
    rebooted.note(host, "run1", "boot", "why", [])
    resuming.leave(host, "caasctl failed", "report")
    assert resuming.cancel(host) == ()
    assert left(host) == []
    assert host.commands[-1] == ("systemctl", "daemon-reload")
    assert host.read(resuming.REPORT) == "report"  # who looks later still finds it


def test_the_unit_that_ends_itself_is_not_forgotten_by_systemd_before_it_has_ended(host: CrashingHost) -> None:
    enabled(host)
    before = list(host.commands)
    assert resuming.remove(host, from_within=True) == ()
    assert host.commands == before
    assert not resuming.is_left(host)


def test_proxies_go_with_the_unit(host: CrashingHost) -> None:
    enabled(host)
    host.write(resuming.PROXIES, b"x", 0o600)
    assert resuming.remove(host) == ()
    assert left(host) == []


def test_where_nothing_is_left_nothing_is_run(host: CrashingHost) -> None:
    assert resuming.cancel(host) == ()
    assert host.commands == []
    assert not resuming.is_left(host)


def test_what_cannot_be_taken_away_is_a_warning(host: CrashingHost) -> None:
    enabled(host)
    Path(f"{host.root}{resuming.UNIT_FILE}").unlink()
    Path(f"{host.root}{resuming.UNIT_FILE}/x").mkdir(parents=True)
    said = resuming.remove(Deaf(host.root))
    assert len(said) == 2
    assert resuming.UNIT_FILE in said[0]
    assert "daemon-reload" in said[1]
    assert host.stat(resuming.STATE) is None


def test_a_report_is_left_for_root_and_a_line_for_all(host: CrashingHost) -> None:
    assert resuming.leave(host, "caasctl init-node: converged", "the report \udcff") == ()
    modes = [(there.mode if (there := host.stat(path)) else None) for path in (resuming.REPORT, resuming.MOTD)]
    assert modes == [0o600, 0o644]
    Path(f"{host.root}{resuming.MOTD}").unlink()
    Path(f"{host.root}/run/motd.d").rmdir()
    host.write("/run/motd.d", b"")
    assert "motd.d" in resuming.leave(host, "x", "y")[0]
