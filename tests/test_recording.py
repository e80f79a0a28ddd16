"""What leaves a host in a recording: the same findings, and nothing that lets anybody in or tells where the host stands."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from caasctl import engine, looking, profile_load
from caasctl.asked import RecordingHost, silent
from caasctl.bundle import BundleHost
from caasctl.facts import DOCTOR_PROBES, PROBES
from caasctl.model import CaasError, Exit, Finding, Unreadable
from caasctl.protocol import Completed
from caasctl.recording import Recording
from caasctl.report import recorded

HOSTS = Path(__file__).resolve().parent / "hosts"
NAMES = sorted(folder.name for folder in HOSTS.iterdir() if (folder / "manifest.json").exists())
PUBLIC = {"192.168.40.": "5.9.40.", "192.168.10.": "5.9.10.", "10.254.192.": "93.184.16."}
SECRET = "hunter2-and-3"


def judged(host: object) -> list[Finding]:
    return list(engine.examine(engine.collect(host, (*PROBES, *DOCTOR_PROBES)), profile_load.load()))  # type: ignore[arg-type]


def seen(found: list[Finding], taken: Recording | None = None) -> list[tuple[str, ...]]:
    """Findings as they can be compared. taken: says them as the recording has them."""
    name = (lambda text: taken.redaction.rename("", text)) if taken else str
    return sorted((one.level.value, one.id, name(one.subject), name(one.found), name(one.cause or "")) for one in found)


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recording_of_a_host_gives_the_same_findings(name: str, tmp_path: Path, *, public: bool) -> None:
    """public: the host's networks are ones that the whole world can reach."""
    shutil.copytree(HOSTS / name, tmp_path / "host", symlinks=True)
    if public:
        (tmp_path / "host/root/etc/machine-id").parent.mkdir(exist_ok=True)
        (tmp_path / "host/root/etc/machine-id").write_text("4f1d7c0a9b3e4d2f8a6c5b0e1d2c3f4a\n")
        for path in (path for path in (tmp_path / "host").rglob("*") if path.is_file() and not path.is_symlink()):
            text = path.read_bytes()
            for private, reached in PUBLIC.items():
                text = text.replace(private.encode(), reached.encode())
            path.write_bytes(text)
    before = judged(BundleHost(str(tmp_path / "host")))
    taken = looking.recording(RecordingHost(BundleHost(str(tmp_path / "host"))))
    taken.write(str(tmp_path / "again.tar.gz"), silent)
    assert seen(judged(BundleHost(str(tmp_path / "again.tar.gz")))) == seen(before, taken)
    assert public <= bool(taken.redaction.counts) or name in ("almost-nothing-readable", "hybrid-no-systemd")
    with tarfile.open(tmp_path / "again.tar.gz") as archive:
        held = b"".join(contents(archive, one) + f"{one.name} {one.linkname}".encode() for one in archive)
    assert not [reached for reached in PUBLIC.values() if reached.encode() in held]


def contents(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


class Saying:
    """A host of which all that is asked gives one answer. Only its commands say something."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 0, self.answer)

    def read_bytes(self, path: str) -> bytes | None:
        return f"password = '{SECRET}'\n".encode() if path == "/etc/app.conf" else None

    def read(self, path: str) -> str | None:
        return "S5Y1NX0R123456\n" if path == "/sys/class/dmi/id/product_serial" else None

    def list(self, path: str) -> tuple[str, ...] | None:
        return ("enx3cecef123456", "eth0") if path == "/sys/class/net" else None

    def readlink(self, path: str) -> str | None:
        return "../../devices/3c:ec:ef:12:34:56" if path == "/sys/class/net/eth0" else None

    def stat(self, path: str, *, follow: bool = True) -> None:
        return None

    def tail(self, path: str, size_bytes: int) -> str | None:
        return None


def asked(answer: str) -> RecordingHost:
    host = RecordingHost(Saying(answer))
    host.read_bytes("/etc/app.conf")
    host.list("/sys/class/net")
    host.readlink("/sys/class/net/eth0")
    host.stat("/sys/class/net/enx3cecef123456/device")
    host.query("show", "it")
    return host


@pytest.mark.parametrize("name", ["r", "r.tar.gz"])
def test_one_thing_has_one_name_in_files_names_links_and_output(tmp_path: Path, name: str) -> None:
    asked("3c:ec:ef:12:34:56 has S5Y1NX0R123456").save(str(tmp_path / name), "host-3cecef123456")
    host = BundleHost(str(tmp_path / name))
    listed = host.list("/sys/class/net") or ()
    new = next(name for name in listed if name.startswith("enx"))
    mac = ":".join(new[at : at + 2] for at in range(3, 15, 2))
    assert new != "enx3cecef123456"
    assert host.readlink("/sys/class/net/eth0") == f"../../devices/{mac}"
    assert host.query("show", "it").stdout.startswith(f"{mac} has ")
    assert "S5Y1NX0R123456" not in host.query("show", "it").stdout
    assert host.stat(f"/sys/class/net/{new}/device") is None
    assert host.manifest["host"] == f"host-{new[3:]}"
    assert f"stat /sys/class/net/{new}/device" in host.manifest["absent"]
    assert host.read("/etc/app.conf") == 'password = "(hidden)"\n'
    assert host.manifest["replaced"]["password, key or token"] == 1


LEFT = {
    "hexadecimal": (SECRET.encode().hex(), "secret in hexadecimal"),
    "a URL": ("https://x/?q=hunter2%2Dand%2D3", "secret in a URL's escapes"),
    "a MAC with dots": ("3cec.ef12.3456", "MAC address"),
}


@pytest.mark.parametrize("name", ["r", "r.tar.gz"])
@pytest.mark.parametrize("form", LEFT)
def test_a_form_that_redaction_does_not_know_is_no_recording(tmp_path: Path, form: str, name: str) -> None:
    answer, kind = LEFT[form]
    with pytest.raises(CaasError) as caught:
        asked(answer).save(str(tmp_path / name), "h")
    said = f"{caught.value.problem} {caught.value.cause} {caught.value.fix}"
    assert f"the command `show it` still holds a {kind}" in caught.value.problem
    assert caught.value.exit_code is Exit.FAILED_CHANGE
    assert answer not in said
    assert SECRET not in said
    assert caught.value.cause
    assert caught.value.fix
    assert os.listdir(tmp_path) == []


def test_a_name_and_a_link_that_give_something_away_are_seen_and_not_said(tmp_path: Path) -> None:
    for leaking in ("list", "readlink"):
        host = asked("")
        if leaking == "list":
            host._answers[("read", f"/etc/{SECRET.encode().hex()}")] = b""
        else:
            host._answers[("link", "/etc/link")] = SECRET.encode().hex()
        with pytest.raises(CaasError) as caught:
            host.save(str(tmp_path / "r.tar.gz"), "h")
        where = "the name of a file below /etc" if leaking == "list" else "the link /etc/link"
        assert f"{where} still holds a secret in hexadecimal" in caught.value.problem
        assert SECRET.encode().hex() not in caught.value.problem + caught.value.fix


def test_a_planted_host_ends_the_command_with_3_and_no_file(tmp_path: Path) -> None:
    """A kubeconfig's password, which containerd's configuration has in hexadecimal in a comment."""
    root = tmp_path / "host"
    for path, text in {
        "/etc/containerd/config.toml": f'version = 2\n# {SECRET.encode().hex()}\n[x.auth]\npassword = "{SECRET}"\n',
        "/etc/os-release": "ID=debian\n",
    }.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    argv = [sys.executable, "-m", "caasctl", "facts", "--root", str(root), "--record", str(tmp_path / "r.tar.gz")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "/etc/containerd/config.toml still holds a secret in hexadecimal" in " ".join(done.stderr.split())
    assert SECRET.encode().hex() not in done.stdout + done.stderr
    assert not (tmp_path / "r.tar.gz").exists()
    (root / "etc/containerd/config.toml").write_text(f'[x.auth]\npassword = "{SECRET}"\n')
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("Holds") < done.stdout.index("recorded in")
    assert (tmp_path / "r.tar.gz").stat().st_mode & 0o777 == 0o600


def test_what_it_will_hold_is_short_and_readable() -> None:
    out = io.StringIO()
    taken = Recording("h")
    taken.files = {f"/etc/{at}": b"x" * 100 for at in range(50)}
    taken.take("query", ["journalctl"], Completed(("journalctl", "-u", "kubelet", "x" * 80), 0, "y" * (3 << 20), ""))
    taken.redaction.counts.update({"MAC address": 7, "private key": 2})
    recorded.write(taken, "/tmp/r.tar.gz", out)
    text = out.getvalue()
    assert "50 files (4.9 KiB), 1 command (3.0 MiB)" in text
    assert "journals and logs 3.0 MiB, configuration 4.9 KiB" in text
    assert "3.0 MiB  journalctl -u kubelet xxx" in text
    assert "MAC address 7x, private key 2x" in text
    assert "/tmp/r.tar.gz" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 10


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    asked("").save(str(tmp_path / "r.tar.gz"), "h")
    asked("").save(str(tmp_path / "r"), "h")
    assert [(tmp_path / name).stat().st_mode & 0o077 for name in ("r", "r.tar.gz")] == [0, 0]
    assert json.loads((tmp_path / "r/manifest.json").read_text())["schemaVersion"] == 1


def journal(lines: int) -> Completed:
    said = "".join(f'{{"MESSAGE":"line {at}"}}\n' for at in range(lines))
    return Completed(("journalctl", "-k"), 0, said, "")


def test_of_too_much_output_the_oldest_of_the_largest_journal_is_left_out(tmp_path: Path) -> None:
    taken = Recording("h", most=20_000)
    taken.take("query", ["kubectl"], Completed(("kubectl",), 0, "x" * 9000, ""))
    taken.take("query", ["journalctl"], journal(1000))
    taken.take("query", ["dmesg"], Completed(("dmesg",), 0, "short\n", ""))
    taken.finish()
    out = io.StringIO()
    recorded.write(taken, "/tmp/r.tar.gz", out)
    taken.write(str(tmp_path / "r"), silent)
    again = BundleHost(str(tmp_path / "r"))
    left = again.query("journalctl", "-k").stdout
    assert left.startswith('{"MESSAGE":"line ')
    assert journal(1000).stdout.endswith(left)
    assert 5000 < len(left) < 11_000
    assert again.manifest["cut"] == {"journalctl -k": len(journal(1000).stdout) - len(left)}
    assert "the oldest of journalctl -k" in out.getvalue()
    assert (len(again.query("kubectl").stdout), again.query("dmesg").stdout) == (9000, "short\n")
    assert (tmp_path / "r/commands.json").stat().st_size <= 20_000


def test_too_much_that_is_no_journal_is_no_recording() -> None:
    taken = Recording("h", most=20_000)
    taken.take("query", ["journalctl"], journal(10))
    taken.take("query", ["kubectl"], Completed(("kubectl",), 0, "x" * 30_000, ""))
    with pytest.raises(CaasError, match="the output of commands is more than") as refused:
        taken.finish()
    assert refused.value.cause
    assert "kubectl get pods,events -A" in (refused.value.fix or "")


def test_what_could_not_be_read_is_told_with_what_helps() -> None:
    taken, out = Recording("h"), io.StringIO()
    taken.take("read", ["/etc/shadow"], Unreadable("/etc/shadow", "permission denied (needs root)"))
    recorded.write(taken, "/tmp/r.tar.gz", out)
    assert "1 answer: permission denied (needs root); as root there is more" in " ".join(out.getvalue().split())


def test_what_takes_long_is_said_step_by_step(tmp_path: Path) -> None:
    said: list[str] = []
    taken = looking.recording(RecordingHost(BundleHost(str(HOSTS / "debian12-plain-vm"))), said.append)
    taken.write(str(tmp_path / "r"), said.append)
    assert said == ["looking at the host", "hiding secrets", "giving addresses and hardware other names", "writing it",
                    "looking through it for what should not be there"]  # fmt: skip
