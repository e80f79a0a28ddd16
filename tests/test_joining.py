"""join-node as a user meets it, against a stand-in API server: verdicts, exit codes, and no secret in anything it says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.standins.api_server import Authority, Cluster, serving

import caasctl
from caasctl import apply, commands, engine, joining, ledger, planning, profile_load, verdicts
from caasctl.facts import PROBES
from caasctl.facts.kubernetes_join import JoinTarget
from caasctl.host import LiveHost
from caasctl.model import Exit, Level, UsageError
from caasctl.protocol import Phase, PhaseStatus
from caasctl.report import write
from caasctl.resources.files import File

TOKEN, KEY = "abcdef.0123456789abcdef", "b2" * 32
SECRETS = (TOKEN.partition(".")[2], KEY)
BARE = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "80",
        "PYTHONPATH": str(Path(caasctl.__file__).parents[1])}  # fmt: skip
IDS = ("api_reachable", "api_time", "api_identity", "api_version", "join_token")


@dataclass(frozen=True)
class Given:
    """A cluster that answers, and files for it."""

    cluster: Cluster
    command: str
    folder: Path

    def file(self, text: str, mode: int = 0o600) -> str:
        path = self.folder / "token"
        path.write_text(text)
        path.chmod(mode)
        return str(path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture
def there(authority: Authority, tmp_path: Path) -> Iterator[Given]:
    cluster = Cluster(authority.pem, (TOKEN,))
    with serving(cluster, authority.issue("server", "IP:127.0.0.1")) as port:
        command = f"kubeadm join 127.0.0.1:{port} --token {TOKEN} --discovery-token-ca-cert-hash {authority.hash}"
        yield Given(cluster, command, tmp_path)


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "caasctl", "join-node", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=BARE, check=False, input=stdin, cwd="/")


def levels(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    results = json.loads(done.stdout)["results"]
    return {r["id"].partition(".")[2]: r["level"] for r in results if r["id"].partition(".")[2] in (*IDS, "join_keys")}


def test_a_cluster_that_can_be_joined_passes_every_check(there: Given) -> None:
    done = run("--dry-run", "-o", "json", "--token-file", there.file(there.command))
    assert levels(done) == dict.fromkeys(IDS, "pass"), done.stderr
    report = json.loads(done.stdout)
    assert report["profile"] == "worker"
    assert report["command"].startswith("join-node --dry-run --token-file ")
    assert report["summary"]["exitCode"] == done.returncode


def test_a_command_on_standard_input(there: Given) -> None:
    done = run("--dry-run", "-o", "json", "--token-file", "-", stdin=there.command)
    assert levels(done) == dict.fromkeys(IDS, "pass"), done.stderr


@pytest.mark.parametrize("fmt", ["text", "json", "yaml", "junit", "html"])
def test_no_secret_is_in_anything_that_is_said(fmt: str, there: Given) -> None:
    """Nor in what the API server is asked."""
    text = f"{there.command} --control-plane --certificate-key {KEY}"
    done = run("--dry-run", "-v", "-o", fmt, "--profile", "control-plane", "--token-file", there.file(text, 0o644))
    assert done.returncode in (0, 1, 4, 6), done.stderr
    assert "kubernetes.join_token" in done.stdout
    for said in (done.stdout, done.stderr, *there.cluster.asked):
        assert not [secret for secret in SECRETS if secret in said]


def test_a_token_that_has_expired_stops_the_run(there: Given) -> None:
    there.cluster.tokens = ()
    done = run("--dry-run", "-o", "json", "--token-file", there.file(there.command))
    assert done.returncode == 1
    assert levels(done)["join_token"] == "fail"
    said = " ".join(run("--dry-run", "--token-file", "-", stdin=there.command).stdout.split())
    assert "join-node would stop before phase" in said
    assert "Next: caasctl join-node --profile worker --token-file - --dry-run" in said


def test_a_discovery_file(there: Given, authority: Authority) -> None:
    port = int(there.command.split()[2].rpartition(":")[2])
    config = there.folder / "discovery"
    config.write_text(there.cluster.kubeconfig(port))
    done = run("--dry-run", "-o", "json", "--discovery-file", str(config), "--token-file", there.file(TOKEN))
    assert levels(done) == dict.fromkeys(IDS, "pass"), done.stderr
    done = run("--dry-run", "--discovery-file", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no bootstrap token" in " ".join(done.stderr.split())


def test_a_recorded_host_cannot_ask(there: Given, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    done = run("--dry-run", "-o", "json", "--facts", str(tmp_path), "--token-file", there.file(there.command))
    assert set(levels(done).values()) <= {"unknown", "skipped"}
    assert there.cluster.asked == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "is not told which cluster to join"),
        (["--token-file", ""], "--token-file is empty"),
        (["--token-file", "/does/not/exist"], "/does/not/exist does not exist"),
        (["--token-file", "/"], "is a directory"),
        (["--token-file", "-"], "standard input is neither a join command nor a mapping"),
        (["--discovery-file", "/etc/hostname"], "no kubeconfig"),
        (["--token-file", "-", "--profile", "single-node"], "a single node, which joins nothing"),
    ],
)
def test_what_is_missing_is_a_usage_error(argv: list[str], said: str) -> None:
    done = run("--dry-run", *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "fix" in done.stderr


@pytest.mark.root
def test_changes_without_a_terminal_need_yes(there: Given) -> None:
    done = run("--token-file", there.file(there.command))
    assert done.returncode == 2
    assert "--yes" in done.stderr


# -- a session ---------------------------------------------------------------------------------------------------------
def session(there: Given, profile: str, text: str) -> commands.Session:
    made = commands.Session(profile, None)
    made.joins(there.file(text), None)
    return made


def test_a_phase_that_joins_is_held_back_by_the_checks(there: Given, tmp_path: Path) -> None:
    there.cluster.clock_s = 1000
    made = session(there, "worker", there.command)
    probes = [probe for probe in made.probes if probe.fact.__module__.startswith("caasctl.facts.kubernetes")]
    host = LiveHost(str(tmp_path))
    facts = engine.collect(host, probes)
    found = engine.examine(facts, made.profile, only=[f"kubernetes.{name}" for name in IDS])
    phase = Phase("kubeadm", "joins", lambda _facts, _profile: (File("/x", "x"),), (), ())
    (report,) = planning.plan(host, facts, made.profile, found, (phase,))
    assert (report.status, verdicts.plan_exit((report,))) == (PhaseStatus.BLOCKED, Exit.FAILED_CHECK)
    skipped = {finding.id for finding in report.findings if finding.level is Level.SKIPPED}
    assert skipped == {"kubernetes.api_identity", "kubernetes.api_version", "kubernetes.join_token"}


def test_a_run_that_is_held_back_writes_no_secret_anywhere(there: Given, tmp_path: Path) -> None:
    there.cluster.tokens = ("abcdef.ffffffffffffffff",)
    made = session(there, "control-plane", f"{there.command} --control-plane --certificate-key {KEY}")
    host, told = LiveHost(str(tmp_path / "node")), list[str]()
    facts = engine.collect(host, made.probes)
    phase = Phase("kubeadm", "joins", lambda _facts, _profile: (File("/x", "x"),), (), ())
    steps = apply.Run(host, made.profile, ledger.Ledger(host, "run1"), told.append, lambda: False, made.probes)
    reports = tuple(steps.phases((phase,), facts))
    assert [report.status for report in reports] == [PhaseStatus.BLOCKED]
    assert "kubernetes.api_identity" in reports[0].message
    whole = made.report(["join-node"], verdicts.run_exit(reports), engine.examine(facts, made.profile), reports)
    for fmt in ("text", "json", "yaml", "junit", "html"):
        out = io.StringIO()
        write(whole, fmt, out, verbose=True, width=None)
        told.append(out.getvalue())
    told += [path.read_text() for path in (tmp_path / "node").rglob("*") if path.is_file()]
    assert not [secret for secret in SECRETS for said in (*told, repr(whole), repr(facts.known())) if secret in said]


def test_every_fact_is_probed_once_and_the_cluster_by_its_own_probe(there: Given) -> None:
    made = session(there, "worker", there.command)
    assert [probe.fact for probe in made.probes] == [probe.fact for probe in PROBES]
    assert made.profile.join
    assert not [secret for secret in (*SECRETS, TOKEN) if secret in repr(made.profile)]
    (own,) = [probe for probe in made.probes if probe.fact is JoinTarget]
    seen = own.read(LiveHost())
    assert isinstance(seen, JoinTarget)
    assert seen.trusted


def test_a_control_plane_that_joins_begins_no_cluster(there: Given) -> None:
    text = f"{there.command} --control-plane --certificate-key {KEY}"
    assert not session(there, "control-plane", text).profile.begins_cluster
    with pytest.raises(UsageError, match="is for a control plane"):
        session(there, "worker", text)


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_noticed(mode: int, *, exposed: bool, there: Given) -> None:
    path = there.file(there.command, mode)
    assert joining.read(path, None, profile_load.load("worker")).exposed == (path if exposed else "")


def test_a_worker_that_joins_nothing_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    for profile, told in (("worker", (commands.JOIN_NEXT,)), ("single-node", ())):
        _, report = commands.Session(profile, None, str(tmp_path)).plan(())
        assert report.notes == told
