"""Proxies of services against a stand-in systemctl: applied twice, killed at every change, undone; texts for real readers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from tests.crashing import Killed
from tests.standins.node import Node

from caasctl.facts.ownership import PROXY, PROXY_DROP_IN
from caasctl.model import CaasError
from caasctl.needs.network import proxy
from caasctl.profile_packages import ProxySpec
from caasctl.protocol import IN_EFFECT, Absent, Completed, Done, Known, Unknown
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.restarted import Restarted

DROP_IN = PROXY_DROP_IN.format("containerd")
PATHS = (PROXY, DROP_IN)
SPEC = ProxySpec("http://p.example:3128", "http://u:s3cret%40x@p.example:3128", (".corp", "10.1.0.0/16", "mirror.corp"))
DIRECT = ("192.0.2.1", "10.244.0.0/16", ".svc", ".cluster.local", "localhost", "127.0.0.0/8")
RESTARTED = Restarted("containerd.service", PATHS)


def transaction(spec: ProxySpec = SPEC, direct: Sequence[str] = DIRECT) -> Transaction:
    variables = File(PROXY, proxy.environment(spec, direct), 0o600, secret=True)
    return Transaction("proxy:containerd", (variables, File(DROP_IN, proxy.drop_in())), RESTARTED)


@pytest.fixture
def host(tmp_path: Path) -> Node:
    return node(tmp_path)


def node(folder: Path, at: int = -1, state: str = "enabled/active") -> Node:
    found = Node(str(folder), at)
    if not (folder / "run").exists():
        found.units(containerd__service=state)
        found.plant("/proc/stat", "cpu 1\nbtime 1000000000\n")
        later(folder)
    return found


def later(folder: Path) -> None:
    """Files of the tree are of now, and what starts from here on is started after them."""
    path = folder / "run/systemctl-standin.json"
    state = json.loads(path.read_text())
    state["now_us"] = 4_000_000_000 * 1_000_000
    path.write_text(json.dumps(state))


def apply(what: Transaction, host: Node) -> object:
    now = what.look(host)
    return Done() if now == what.target(now) else what.apply(host, now)


def test_written_reloaded_and_restarted_once(host: Node) -> None:
    what = transaction()
    assert [apply(what, host), apply(what, host)] == [Done(), Done()]
    assert host.commands == [("systemctl", "daemon-reload"), ("systemctl", "try-restart", "--", "containerd.service")]
    now = what.look(host)
    assert isinstance(now, Known)
    assert now.text == IN_EFFECT
    assert what.target(what.target(now)) == what.target(now)
    assert os.stat(host.root + PROXY).st_mode & 0o777 == 0o600


def test_a_service_that_does_not_run_is_not_started(tmp_path: Path) -> None:
    host = node(tmp_path, state="disabled/inactive")
    assert apply(transaction(), host) == Done()
    assert json.loads(host.text("/run/systemctl-standin.json"))["units"]["containerd.service"]["active"] == "inactive"
    assert apply(transaction(), host) == Done()
    assert len(host.commands) == 2


@pytest.mark.parametrize("at", range(10))
def test_a_run_that_dies_anywhere_is_finished_by_the_next(tmp_path: Path, at: int) -> None:
    what = transaction()
    try:
        apply(what, node(tmp_path, at))
    except Killed:
        later(tmp_path)
    again = node(tmp_path)
    assert apply(what, again) == Done()
    assert what.look(again) == what.target(what.look(again))
    started = json.loads(again.text("/run/systemctl-standin.json"))["units"]["containerd.service"]
    assert started["started_us"] > 5_000_000
    assert started["loaded"]


def test_without_proxies_what_is_ours_goes_and_what_is_not_stays(host: Node) -> None:
    gone = Transaction("proxy:containerd", tuple(map(Gone, PATHS)), RESTARTED)
    assert gone.look(host) == gone.target(gone.look(host))  # and nothing is asked of systemd
    assert host.commands == []
    apply(transaction(), host)
    assert apply(gone, host) == Done()
    assert not os.path.exists(host.root + PROXY)
    assert host.commands[-1] == ("systemctl", "try-restart", "--", "containerd.service")
    host.plant(DROP_IN, "[Service]\n")
    assert apply(gone, host) == Done()
    assert host.text(DROP_IN) == "[Service]\n"


def test_the_way_back_is_the_files_and_a_restart(host: Node) -> None:
    what = transaction()
    way = what.undo(what.look(host))
    assert way.files == {PROXY: None, DROP_IN: None}
    assert way.commands == (("systemctl", "daemon-reload"), ("systemctl", "try-restart", "--", "containerd.service"))


def test_systemd_that_does_not_take_it_has_the_old_files_back(tmp_path: Path) -> None:
    class Deaf(Node):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            done = super().query(*argv, timeout_s=timeout_s)
            return Completed(done.argv, 0, done.stdout.replace("NeedDaemonReload=no", "NeedDaemonReload=yes"))

    node(tmp_path)
    host = Deaf(str(tmp_path))
    with pytest.raises(CaasError, match="did not take"):
        transaction().apply(host, transaction().look(host))
    assert not os.path.exists(host.root + PROXY)


def behind(folder: Path) -> Node:
    """The clock was set back by years, after a run that was killed had written the files."""
    found = node(folder)
    for member in transaction().members:
        found.write(member.path, member.text.encode(), member.mode)
    found.units(containerd__service="enabled/active")
    found.execute("systemctl", "daemon-reload")
    return Node(str(folder))


def restarts(host: Node) -> int:
    return sum(argv[1] == "try-restart" for argv in host.commands)


def test_a_clock_that_was_set_back_costs_one_restart_and_no_more(tmp_path: Path) -> None:
    host, what = behind(tmp_path), transaction()
    now = what.look(host)
    assert isinstance(now, Known)
    assert now.text.startswith("restart owed: ")
    assert [apply(what, host), apply(what, host), restarts(host)] == [Done(), Done(), 1]
    host.execute("systemctl", "restart", "--", "containerd.service")  # by somebody else, and later
    assert [apply(what, host), restarts(host)] == [Done(), 1]


def test_after_a_clock_that_was_set_back_a_file_that_is_touched_owes_a_restart_again(tmp_path: Path) -> None:
    host, what = behind(tmp_path), transaction()
    apply(what, host)
    os.utime(host.root + PROXY)
    assert [apply(what, host), apply(what, host), restarts(host)] == [Done(), Done(), 2]


@pytest.mark.parametrize("text", ["{", "[]", '{"started_us": "x", "files": 1}', '{"files": {}}'])
def test_a_damaged_stamp_vouches_for_nothing(tmp_path: Path, text: str) -> None:
    host = behind(tmp_path)
    host.plant("/run/caasctl/restarted-containerd.service.json", text)
    assert [apply(transaction(), host), restarts(host)] == [Done(), 1]


def test_a_stamp_of_a_later_start_does_not_vouch_for_an_earlier_one(tmp_path: Path) -> None:
    host, what = behind(tmp_path), transaction()
    apply(what, host)
    host.units(containerd__service="enabled/active")  # as after a boot that left /run alone
    assert [apply(what, host), restarts(host)] == [Done(), 2]


def test_a_tree_without_systemd_is_unknown_only_where_something_is_there(tmp_path: Path) -> None:
    class Silent(Node):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            return Completed(argv, 1, stderr="System has not been booted with systemd")

    host = Silent(str(tmp_path))
    assert RESTARTED.state(host, dict.fromkeys(PATHS, Absent())) == Known(IN_EFFECT)
    assert RESTARTED.state(host, {}) == Unknown(
        "systemctl show containerd.service: System has not been booted with systemd"
    )


# -- texts, by who reads them -------------------------------------------------------------------------------------------
def test_a_shell_reads_the_variables_as_they_were_meant(tmp_path: Path) -> None:
    """systemd's rules for double quotes are a shell's; `systemd-run` has them in tests/vm."""
    odd = ProxySpec('http://u:p$HOME`x"\\@p:1', "")
    (tmp_path / "env").write_text(proxy.environment(odd, DIRECT))
    said = subprocess.run(
        ("sh", "-c", '. "$0" && printf "%s|%s" "$http_proxy" "$NO_PROXY"', str(tmp_path / "env")),
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    url, direct = said.stdout.split("|")
    assert url == odd.http
    assert direct == ",".join((*DIRECT, "127.0.0.1"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze: not on this machine")
def test_systemd_has_nothing_to_say_about_the_drop_in(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    (folder / "x.service.d").mkdir(parents=True)
    (folder / "x.service").write_text("[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n")
    (folder / "x.service.d/zz-caasctl-proxy.conf").write_text(proxy.drop_in())
    argv = ("systemd-analyze", "verify", "--man=no", "x.service")
    path = {"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{folder}:"}
    said = subprocess.run(argv, capture_output=True, text=True, check=False, env=path)
    assert "zz-caasctl-proxy" not in said.stderr
    (folder / "x.service.d/zz-caasctl-proxy.conf").write_text("[Service]\nEnvironmentFiles=/x\n")
    broken = subprocess.run(argv, capture_output=True, text=True, check=False, env=path)
    assert "zz-caasctl-proxy" in broken.stderr


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="apt-config: not on this machine")
def test_apt_reads_its_proxies_and_passwords_are_not_among_them(tmp_path: Path) -> None:
    text = proxy.apt(SPEC, ("deb.example.org", "repo.corp"))
    assert "s3cret" not in text
    (tmp_path / "apt.conf").write_text(text)
    said = subprocess.run(("apt-config", "dump"), capture_output=True, text=True, check=True,
                          env={"PATH": os.environ["PATH"], "APT_CONFIG": str(tmp_path / "apt.conf")}).stdout  # fmt: skip
    for line in (
        'Acquire::http::Proxy "http://p.example:3128";', 'Acquire::https::Proxy "http://p.example:3128";',
        'Acquire::https::Proxy::mirror.corp "DIRECT";', 'Acquire::http::Proxy::repo.corp "DIRECT";',
    ):  # fmt: skip
        assert line in said
    assert "deb.example.org" not in said
    assert proxy.apt_login(SPEC).endswith("machine http://p.example:3128\nlogin u\npassword s3cret@x\n")


class Gate(BaseHTTPRequestHandler):
    """A proxy that lets nobody pass without the password, and has one flat repository behind it."""

    told: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.told.append((self.path, self.headers.get("Proxy-Authorization", "")))
        allowed = self.told[-1][1] == "Basic " + b64encode(b"u:s3cret@x").decode()
        body = (
            b"Package: x\nVersion: 1\nArchitecture: all\nFilename: ./x.deb\n"
            if self.path.endswith("/Packages")
            else b""
        )
        self.send_response(200 if allowed and body else 404 if allowed else 407)
        self.send_header("Content-Length", str(len(body) if allowed else 0))
        self.end_headers()
        self.wfile.write(body if allowed else b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get: not on this machine")
def test_a_real_apt_passes_a_proxy_that_asks_for_a_password(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as gate:
        Thread(target=gate.serve_forever, daemon=True).start()
        spec = ProxySpec(f"http://u:s3cret%40x@127.0.0.1:{gate.server_port}")
        without = updated(tmp_path / "without", spec, "")
        with_it = updated(tmp_path / "with", spec, proxy.apt_login(spec))
        gate.shutdown()
    assert "407" in without.stdout + without.stderr
    assert with_it.returncode == 0, with_it.stderr
    assert any(path == "http://repo.invalid/./Packages" for path, _ in Gate.told)
    assert list((tmp_path / "with/lists").glob("*Packages*"))


def updated(folder: Path, spec: ProxySpec, login: str) -> subprocess.CompletedProcess[str]:
    """apt-get update with folders of its own and the files of a profile."""
    for name in ("lists/partial", "archives/partial", "parts", "auth"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text("deb [trusted=yes] http://repo.invalid/ ./\n")
    (folder / "status").touch()
    (folder / "auth/zz-caasctl-proxy.conf").write_text(login)
    (folder / "apt.conf").write_text(proxy.apt(spec, ("repo.invalid",)))
    options = (
        f"Dir::Etc::sourcelist={folder}/sources.list", f"Dir::Etc::sourceparts={folder}/parts", f"Dir::Etc::parts={folder}/parts",
        f"Dir::Etc::netrcparts={folder}/auth", f"Dir::State={folder}", f"Dir::State::lists={folder}/lists",
        f"Dir::State::status={folder}/status", f"Dir::Cache={folder}", "APT::Sandbox::User=root", "Acquire::Retries=0",
        "Acquire::Languages=none",
    )  # fmt: skip
    argv = ("apt-get", *(word for option in options for word in ("-o", option)), "update")
    path = {"PATH": os.environ["PATH"], "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=path, timeout=120)
