"""Words of a unit file, read back by the systemd of this machine where there is one."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from caasctl.syntax import systemd

SYSTEMD = Path("/usr/lib/systemd/systemd")
ODD = [
    "--set=spec.a=b c", "100%", "%h %n %%", "$HOME ${HOME} $$", 'q"uo"te', "it's", "back\\slash \\n \\", "line\nbreak\ttab",
    ";", "", "ä €", "#x", "@-:+!x", "{a: [1, 2]}", "\x01\x7f", "a\\x20b", "\\;", "*?[]~`|&<>",
]  # fmt: skip
_UNESCAPED = re.compile(r"\\(x[0-9a-f]{2}|[0-7]{3}|.)", re.DOTALL)
_CONTROLS = {"n": b"\n", "t": b"\t", "r": b"\r", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v"}


def test_a_plain_word_stays_as_it_is() -> None:
    assert systemd.command(["/usr/bin/caasctl", "init-node", "--profile=/etc/node.yaml"]) == (
        "/usr/bin/caasctl init-node --profile=/etc/node.yaml"
    )


def test_a_program_is_no_place_for_variables() -> None:
    assert systemd.command(["/opt/$a %b/x", "$a"]) == '"/opt/$a %%b/x" "$$a"'


def test_a_character_that_cannot_be_printed_is_spelled_out() -> None:
    assert systemd.command(["/x", "\x01\u2028"]) == '/x "\\x01\\xe2\\x80\\xa8"'


def test_a_byte_that_is_not_utf8_stays_one() -> None:
    assert systemd.command(["/x", os.fsdecode(b"a\xff")]) == '/x "a\\xff"'


def test_an_environment_file_keeps_what_its_parser_would_take_away() -> None:
    assert systemd.environment_file({"A": 'p"w$d`x\\y', "B": "http://p:3128"}) == (
        'A="p\\"w\\$d\\`x\\\\y"\nB="http://p:3128"\n'
    )


def test_systemd_reads_back_what_was_meant(tmp_path: Path) -> None:
    shown = _dump(tmp_path, f"[Service]\nType=oneshot\nExecStart={systemd.command(['/bin/echo', *ODD])}\n")
    (line,) = re.findall(rb"Command Line: /bin/echo (.*)", shown)
    # `$$` is what is left for the moment of starting: systemd.service(5), "Use $$ to pass a literal dollar sign"
    assert [word.replace("$$", "$") for word in _words(line)] == ODD


def test_systemd_reads_back_paths(tmp_path: Path) -> None:
    where = ["/opt/a b", '/opt/50% "off"', "/var/lib/caasctl"]
    shown = _dump(tmp_path, f"[Unit]\nRequiresMountsFor={systemd.paths(where)}\n[Service]\nExecStart=/bin/true\n")
    own = shown.partition(b"-> Unit x.service:")[2].partition(b"-> Unit ")[0]
    found = {each.decode() for each in re.findall(rb"RequiresMountsFor: (.*) \(", own)}
    assert found.issuperset(where)


def _dump(folder: Path, unit: str) -> bytes:
    """What systemd made of a unit: its manager in test mode, as a user that may do nothing."""
    if not SYSTEMD.exists():
        pytest.skip("no systemd on this machine")
    (folder / "x.service").write_text(unit)
    other = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if other:
        os.chown(folder, other.pw_uid, other.pw_gid)
        for above in list(folder.parents)[:3]:
            above.chmod(above.stat().st_mode | 0o011)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder),
                   "SYSTEMD_UNIT_PATH": f"{folder}:"}  # fmt: skip
    done = subprocess.run([str(SYSTEMD), "--test", "--user", "--unit=x.service", "--no-pager"], env=environment, cwd="/",
                          capture_output=True, check=False, user=other and other.pw_uid, group=other and other.pw_gid)  # fmt: skip
    if b"Unit x.service:" not in done.stdout:
        pytest.skip(f"systemd does not run in test mode here: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout


def _words(line: bytes) -> list[str]:
    """systemd prints words as a shell would take them, those with something special in double quotes."""
    found = re.findall(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)', line)
    return [(plain or _unescape(quoted)).decode() for quoted, plain in found]


def _unescape(quoted: bytes) -> bytes:
    def one(match: re.Match[str]) -> str:
        what = match[1]
        if len(what) == 3:
            return chr(int(what[1:], 16) if what[0] == "x" else int(what, 8))
        return _CONTROLS.get(what, what.encode()).decode()

    return _UNESCAPED.sub(one, quoted.decode("latin-1")).encode("latin-1")
