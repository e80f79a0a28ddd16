"""The proxies that a command inherits, in a process with an environment of its own: they travel as environment, never in argv."""

from __future__ import annotations

import os
import subprocess
import sys

PRINT = "from caasctl.host import LiveHost; print(LiveHost().execute('env', direct={direct!r}).stdout)"


THROUGH = """
from caasctl.host.processes import through
from caasctl.profile_packages import ProxySpec
import os
with through(ProxySpec(https="http://user:secret@theirs:3128", noProxy=(".corp",))):
    {code}
assert "https_proxy" not in os.environ
"""


def environment(direct: tuple[str, ...] | None, around: str = "{code}", **given: str) -> dict[str, str]:
    """What `env` prints where LiveHost starts it in a process with these variables."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    code = around.format(code=PRINT.format(direct=direct))
    done = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **given}, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_command_that_asks_for_none_gets_no_proxy() -> None:
    assert "HTTPS_PROXY" not in environment(None, HTTPS_PROXY="http://user:secret@proxy:3128")


def test_a_command_that_downloads_gets_them_and_what_to_reach_directly() -> None:
    found = environment(
        ("10.96.0.0/16", ".svc"), HTTPS_PROXY="http://user:secret@proxy:3128", no_proxy="a.example, .svc"
    )
    assert found["HTTPS_PROXY"] == "http://user:secret@proxy:3128"
    assert found["NO_PROXY"] == found["no_proxy"] == "a.example,.svc,10.96.0.0/16"  # apt knows none in capitals


def test_without_a_proxy_nothing_is_said_of_one() -> None:
    assert not {name for name in environment((".svc",), NO_PROXY="a.example") if "PROXY" in name.upper()}


def test_the_profile_s_proxies_are_used_where_caasctl_was_started_with_none() -> None:
    found = environment((".svc",), THROUGH)
    assert (found["https_proxy"], found["NO_PROXY"]) == ("http://user:secret@theirs:3128", ".corp,.svc")
    assert "HTTPS_PROXY" not in found
    both = environment((".svc",), THROUGH, NO_PROXY="a.example")
    assert both["NO_PROXY"] == "a.example,.corp,.svc"
    given = environment((".svc",), THROUGH, HTTPS_PROXY="http://mine:1")
    assert (given["HTTPS_PROXY"], given.get("https_proxy"), given["NO_PROXY"]) == ("http://mine:1", None, ".svc")
    assert "https_proxy" not in environment(None, THROUGH)
