"""A converged node as a user who is not root sees it: what he can see is judged, of the rest it is said that it needs root."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import TOP, Host, Programs

SYSTEM_PYTHON = "/usr/bin/python3"
pytestmark = [pytest.mark.root, pytest.mark.slow,
              pytest.mark.skipif(not os.access(SYSTEM_PYTHON, os.X_OK), reason=f"needs {SYSTEM_PYTHON}")]  # fmt: skip
SET = ("--set", "runtimes=[runc]")
PATHS = os.pathsep.join((str(TOP / "src"), sysconfig.get_path("purelib")))
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8",
          f"PYTHONPATH={PATHS}", SYSTEM_PYTHON, "-B", "-m", "caasctl")  # fmt: skip
USAGE, UNDETERMINED = 2, 6


def as_nobody(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    done = host.run(*NOBODY, *words)
    assert "Traceback" not in done.stderr, done.stderr
    assert "bug" not in done.stderr
    return done


def test_without_root_what_can_be_seen_is_judged_and_the_rest_is_said(found: Programs, new_host: NewHost) -> None:
    for folder in (found.standins, *found.standins.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)  # programs of the node lie below
    host = new_host()
    done = host.caasctl("init-node", "--yes", *SET)
    assert done.returncode == 0, done.stdout + done.stderr
    host.sh("chmod -R a+rwX /var/lib/standin /run/standin*")  # the stand-ins' own state
    for words in (("preflight",), ("init-node", "--dry-run")):
        done = as_nobody(host, *words, *SET, "-o", "json")
        assert done.returncode == UNDETERMINED, done.stderr
        unread = [one for one in json.loads(done.stdout)["results"] if one["level"] == "unknown"]
        assert len(unread) > 5
        assert [one["found"] for one in unread if "needs root" not in one["found"]] == []
        levels = {one["level"] for one in json.loads(done.stdout)["results"]}
        assert "fail" not in levels
        assert "pass" in levels
    assert "sudo caasctl preflight" in as_nobody(host, "preflight", *SET).stdout
    assert as_nobody(host, "facts").returncode == 0
    host.sh("mkdir -m 777 /opt/out")
    rendered = as_nobody(host, "render", *SET, "--out", "/opt/out/mine/rendered")
    assert rendered.returncode in (UNDETERMINED, USAGE), rendered.stderr
    host.sh("chown nobody /opt/out; chmod 755 /opt/out")
    rendered = as_nobody(host, "render", *SET, "--out", "/opt/out/mine/rendered")
    assert rendered.returncode == UNDETERMINED, rendered.stderr
    assert "not rendered: phase kubeadm: " in rendered.stderr
    recorded = as_nobody(host, "facts", "--record", "/opt/out/recorded.tar.gz")
    assert recorded.returncode == 0, recorded.stderr
    assert host.path("/opt/out/recorded.tar.gz").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "code"), [(("undo", "--list"), USAGE), (("undo", "--yes"), USAGE), (("init-node", "--yes"), USAGE)]
)
def test_without_root_what_needs_it_says_so(host: Host, words: tuple[str, ...], code: int) -> None:
    host.write("/var/lib/caasctl/runs/r/0001.json", "{}")
    host.path("/var/lib/caasctl/runs").chmod(0o700)
    done = as_nobody(host, *words)
    assert done.returncode == code, done.stderr
    assert "needs root" in done.stderr
    assert "fix" in done.stderr
