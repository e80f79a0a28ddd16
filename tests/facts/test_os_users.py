"""Accounts of /etc/passwd."""

from __future__ import annotations

from pathlib import Path

from caasctl.facts.os_users import User, Users, parse_passwd, read_users
from caasctl.host import LiveHost

SAMPLE = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
ann:x:1000:1001:Ann,,,:/home/ann:/bin/bash
"""


def test_root_and_people_are_known_with_home_and_ids() -> None:
    found = Users(parse_passwd(SAMPLE))
    assert [user.name for user in found.users] == ["root", "ann"]
    assert found.named("ann") == User("ann", 1000, 1001, "/home/ann")
    assert found.named("daemon") is None


def test_broken_lines_are_passed_over() -> None:
    assert parse_passwd("ann:x:1000\n::::::\nx:x:a:b:c:/d:e\nbob:x:1000:1000::relative:/bin/sh\n+::::::\n") == ()
    assert parse_passwd("") == ()


def test_a_host_without_the_file_has_nobody(tmp_path: Path) -> None:
    assert read_users(LiveHost(str(tmp_path))) == Users()
