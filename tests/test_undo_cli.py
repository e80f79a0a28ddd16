"""caasctl undo as a user meets it, in a mount namespace with a /var/lib and a /run of its own: the plan, the question, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import caasctl

pytestmark = pytest.mark.root
SYSTEM_PYTHON = "/usr/bin/python3"
SETUP = 'mount -t tmpfs none /var/lib && mount -t tmpfs none /run && chmod 755 /var/lib /run && mkdir /var/lib/x && exec "$@"'
# What the tests' programs share: a run that makes a change, the command line, and one with a terminal as its stdin.
PROGRAM = r"""
import json, os, subprocess, sys
from pathlib import Path
from caasctl import ledger
from caasctl.host import LiveHost
from caasctl.protocol import Change
from caasctl.resources.files import File
said, host, mine = [], LiveHost(), Path("/var/lib/x/mine")
mine.write_text("mine\n")

def made(run, text, path=str(mine)):
    file = File(path, text)
    now = file.look(host)
    ledger.Ledger(host, run).record(Change("host", file, now, file.target(now)))
    file.apply(host, now)

def undo(*words, python=sys.executable, answer=None, **how):
    master, slave = os.openpty()
    if answer is not None:
        os.write(master, answer.encode())
    done = subprocess.run([python, "-B", "-m", "caasctl", "undo", *words], capture_output=True, text=True, cwd="/",
                          stdin=slave if answer is not None else subprocess.DEVNULL, **how)
    said.append([done.returncode, done.stdout, done.stderr, mine.read_text()])

"""


class Said(NamedTuple):
    """What one command said. mine: the file's text after it."""

    rc: int
    out: str
    err: str
    mine: str


def in_a_host(program: str) -> list[Said]:
    path = os.pathsep.join([str(Path(caasctl.__file__).parents[1]), sysconfig.get_path("purelib")])
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "100", "PYTHONPATH": path}
    argv = [
        "unshare",
        "-m",
        "sh",
        "-eu",
        "-c",
        SETUP,
        "sh",
        sys.executable,
        "-B",
        "-c",
        f"{PROGRAM}{program}\nprint(json.dumps(said))",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return [
        Said(rc, " ".join(out.split()), " ".join(err.split()), mine) for rc, out, err, mine in json.loads(done.stdout)
    ]


def test_undo_without_a_terminal_needs_yes_and_a_dry_run_shows_and_leaves_all() -> None:
    bare, dry, yes, again = in_a_host(
        "made('run1', 'ours\\n'); undo(); undo('--dry-run'); undo('--yes'); undo('--yes')"
    )
    assert (bare.rc, bare.out, bare.mine) == (2, "", "ours\n")
    assert "--yes" in bare.err
    assert "--dry-run" in bare.err
    assert (dry.rc, dry.err, dry.mine) == (0, "", "ours\n")
    assert "restore /var/lib/x/mine (mode 0644, owner 0:0)" in dry.out
    assert (yes.rc, yes.mine) == (0, "mine\n")
    assert "restore /var/lib/x/mine" in yes.err
    assert "undone file:/var/lib/x/mine: /var/lib/x/mine restored" in yes.out
    assert (again.rc, again.out) == (0, "nothing to take back")


def test_a_terminal_is_asked_and_no_is_no() -> None:
    no, yes = in_a_host("made('run1', 'ours\\n'); undo(answer='n\\n'); undo(answer='y\\n')")
    assert (no.rc, no.mine) == (0, "ours\n")
    assert no.err.endswith("Take this back? [y/N]: nothing was changed")
    assert (yes.rc, yes.mine) == (0, "mine\n")
    assert "About to take back run1 (phases host)" in yes.err


def test_runs_are_taken_back_newest_first_and_an_older_one_is_refused_under_a_newer() -> None:
    listed, under, last, first = in_a_host(
        "made('run1', 'one\\n'); made('run2', 'two\\n'); undo('--list'); undo('run1', '--yes'); undo('--yes'); undo('--yes')"
    )
    assert listed.out == "run1 host run2 host"
    assert (under.rc, under.mine) == (1, "two\n")
    assert "run1 lies under later runs: run2" in under.err
    assert "`caasctl undo run2`" in under.err
    assert (last.rc, last.mine, first.rc, first.mine) == (0, "one\n", 0, "mine\n")
    assert "The next `caasctl undo` takes back run1." in last.out


def test_an_edit_is_shown_as_a_diff_and_is_no_failure() -> None:
    (done,) = in_a_host("made('run1', 'ours\\n'); mine.write_text('edited\\n'); undo('--yes')")
    assert (done.rc, done.mine) == (0, "edited\n")
    assert "leave /var/lib/x/mine: it was edited since" in done.err
    assert "-ours +edited" in done.err
    assert "left file:/var/lib/x/mine: /var/lib/x/mine left as it is: it was edited since" in done.out


def test_a_command_that_fails_is_told_with_its_last_words_and_exit_3_until_it_does_not() -> None:
    failed, fine = in_a_host("""
made('run1', 'ours\\n')
at = "/var/lib/caasctl/runs/run1/0001.json"
entry = json.loads(host.read(at))
entry["commands"] = [["sh", "-c", "echo no way; exit $(cat /var/lib/x/code)"]]
host.write(at, json.dumps(entry).encode(), 0o600)
host.write("/var/lib/x/code", b"7"); undo("--yes")
host.write("/var/lib/x/code", b"0"); undo("--yes")
""")
    assert (failed.rc, failed.mine) == (3, "mine\n")
    assert "FAILED" in failed.out
    assert "failed: no way" in failed.out
    assert "`caasctl undo` tries again" in failed.out
    assert fine.rc == 0


@pytest.mark.skipif(not os.access(SYSTEM_PYTHON, os.X_OK), reason="needs a Python that everybody may start")
def test_without_root_nothing_is_taken_back_and_a_closed_record_is_said() -> None:
    who = "python='/usr/bin/python3', user=65534, group=65534, extra_groups=[]"
    none, closed, opened, refused = in_a_host(
        f"undo({who}); made('run1', 'ours\\n'); undo('--dry-run', {who})\n"
        "for path in [Path('/var/lib/caasctl'), *Path('/var/lib/caasctl').rglob('*')]: path.chmod(0o755)\n"
        f"undo('--dry-run', {who}); undo('--yes', {who})"
    )
    assert (none.rc, none.out) == (0, "nothing to take back")
    assert (closed.rc, closed.out) == (2, "")
    assert "permission denied" in closed.err
    assert "sudo" in closed.err
    assert (opened.rc, "restore /var/lib/x/mine" in opened.out) == (0, True)
    assert (refused.rc, refused.mine) == (2, "ours\n")
    assert "needs root" in refused.err


def test_ctrl_c_ends_an_undo_that_only_waits_for_what_a_dead_run_left() -> None:
    (told,) = in_a_host("""
made("run1", "ours\\n")
os.mkdir("/run/caasctl", 0o700)
left = subprocess.Popen(["flock", "-F", "/run/caasctl/lock", "sleep", "60"])
import signal, threading, time
asked = subprocess.Popen([sys.executable, "-B", "-m", "caasctl", "undo", "--yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, cwd="/", stdin=subprocess.DEVNULL)
for line in asked.stderr:
    if "waits for" in line:
        break
asked.send_signal(signal.SIGINT)
out, err = asked.communicate(timeout=10)
left.kill()
said.append([asked.returncode, out, err, mine.read_text()])
""")
    assert told.rc == 130, told.err
    assert "nothing was changed" in told.err
    assert told.mine == "ours\n"
