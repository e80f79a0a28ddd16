"""What stands in foreign files under a secret's name never reaches a terminal or a report."""

from __future__ import annotations

import io
import json
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

from caasctl import profile_load
from caasctl.apply import Run
from caasctl.hidden import HIDDEN, Secrets, is_secret, masked, said, setting
from caasctl.host import LiveHost
from caasctl.ledger import Ledger
from caasctl.model import CaasError, CommandError, Evidence, Exit, Facts, Finding, Level, Report
from caasctl.protocol import Absent, Change, Known, Outcome, Phase, Reader, State, Undo, Writer
from caasctl.report import FORMATS, data, diff, facts, write
from caasctl.resources.files import File

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f'password = "{SECRET}"',
        f"  auth = '{SECRET}'",
        f'[x]\n"identitytoken" = "{SECRET}"  # mine',
        f"client_secret: {SECRET}",
        f'{{"apiKey": "{SECRET}", "b": 1}}',
        f"https_proxy=http://user:{SECRET}@proxy.corp:3128",
        f"https_proxy=http://user:p@{SECRET}@proxy.corp:3128",
        f"https_proxy=http://me@corp:{SECRET}@proxy.corp:3128",
        f"https://files.corp/helm.tgz?se=2027-01-01&sig={SECRET}&v=2",
        f"https://s3.corp/helm.tgz?X-Amz-Signature={SECRET}",
        f'Authorization = ["Basic {SECRET}"]',
        f'header = {{Authorization = ["Bearer {SECRET}", "{SECRET}"]}}',
        f'Authorization = [\n  "Basic {SECRET}",\n]',
        f"token = ['{SECRET}']",
        f'{{ username = "u", password = "{SECRET}" }}',
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    assert SECRET not in masked(text)
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        'sandbox_image = "registry.k8s.io/pause:3.10"',
        "[plugins.x.registry.configs.y.auth]",
        'password = ""',
        "tokenise = true",
        "anonymous-auth = false",
        "http://proxy.corp:3128",
        "authorization: {mode: Webhook}",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_a_list_of_secrets_is_one() -> None:
    assert is_secret("Authorization", [f"Basic {SECRET}"])
    assert is_secret("token", (SECRET,))
    assert not is_secret("authorization", {"mode": "Webhook"})
    assert not is_secret("auth", [])


def test_a_diffs_context_hides_it() -> None:
    before = f'version = 2\npassword = "{SECRET}"\n'
    change = Change("p", File("/etc/x"), Known(before, 0o644), Known(before + "new = 1\n", 0o644))
    shown = "\n".join(line for part in diff.parts(change) for line in diff.diff(part))
    assert "+new = 1" in shown
    assert SECRET not in shown
    gone = Change("p", File("/etc/x"), Known(before, 0o644), Absent())
    assert SECRET not in "\n".join(line for part in diff.parts(gone) for line in diff.diff(part))


@dataclass(frozen=True)
class Config:
    text: str
    parsed: dict[str, object]


def test_facts_and_findings_hide_it() -> None:
    known = Facts([Config(f"auth = '{SECRET}'", {"password": SECRET, "user": "me", "nested": {"token": SECRET}})])
    assert SECRET not in json.dumps(facts.tree(known))
    assert "me" in json.dumps(facts.tree(known))
    finding = Finding(Level.FAIL, "x", evidence=(Evidence("/etc/x", f"password = {SECRET}"),), id="os.a", topic="os")
    report = Report("preflight", "p", "h", "now", 1, Exit.OK, (finding,))
    assert SECRET not in json.dumps(data.tree(report))


def test_a_secret_in_evidence_reaches_no_format() -> None:
    seen = (Evidence("/etc/containerd/config.toml", f'password = "{SECRET}"'),)
    found = Finding(Level.FAIL, "x", id="os.a", title="A", topic="os", evidence=seen)
    report = Report("preflight", "p", "h", "2026-01-01T00:00:00+00:00", 1, Exit.FAILED_CHECK, (found,))
    for fmt in FORMATS:
        out = io.StringIO()
        write(report, fmt, out, verbose=True, width=80)
        assert "config.toml" in out.getvalue() or fmt == "junit"
        assert SECRET not in out.getvalue()


KEY = "b2" * 32
TOKEN = "abcdef.0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"kubeadm join 10.0.0.1:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:{KEY}", "0123456789abcdef"),
        (f"[bootstrap-token] Using token: {TOKEN}", "0123456789abcdef"),
        (f"--discovery-token={TOKEN}", "0123456789abcdef"),
        (f"kubeadm join --certificate-key {KEY}", KEY),
        (f"[upload-certs] Using certificate key:\n{KEY}", KEY),
        (f"certificateKey: {KEY}", KEY),
        (f'{{"client-key-data": "{"TFMwdExT" * 9}"}}', "TFMwdExT"),
        (f"-----BEGIN EC PRIVATE KEY-----\n{'MHcCAQEE' * 8}\n-----END EC PRIVATE KEY-----", "MHcCAQEE"),
        (f"-----BEGIN PRIVATE KEY-----\n{'MHcCAQEE' * 8}", "MHcCAQEE"),
        ("MHcCAQEE" * 8, "MHcCAQEE"),  # one line of it, as progress has it
        (f"proxyconnect tcp: http://me:{SECRET}@proxy.corp:3128: timed out", SECRET),
        (f"GET https://files.corp/helm.tgz?v=2&sig={SECRET}: 403 Forbidden", SECRET),
    ],
)
def test_what_a_command_prints_is_hidden_by_its_form(text: str, hidden: str) -> None:
    assert hidden not in said(text)
    assert HIDDEN in said(text)
    assert said(said(text)) == said(text)


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{KEY}",
        f"registry.k8s.io/pause@sha256:{KEY}",
        "https://10.0.0.1:6443/api?timeout=10s",
        "node01.internal.example.com:6443 refused the connection",
        "unknown flag: --token is not one",
        "the token has expired",
    ],
)
def test_what_a_command_prints_and_is_no_secret_stays(text: str) -> None:
    assert said(text) == text


def test_a_run_s_own_secrets_are_hidden_in_any_form() -> None:
    known = Secrets()
    known.add([TOKEN, "short"])
    known.add_of(f"a: 1\nclient: {{password: {SECRET}, x: y}}\nkeys:\n- name: key1\n  secret: c2VjcmV0c2VjcmV0\n")
    known.add_of(
        "- key: node-role.kubernetes.io/control-plane\n  effect: NoSchedule\npassword: ''\ntokenFile: /etc/token\n"
    )
    heard = known.without(
        f"{SECRET}|0123456789abcdef|c2VjcmV0c2VjcmV0|short|node-role.kubernetes.io/control-plane|/etc/token|y"
    )
    assert heard == f"{HIDDEN}|{HIDDEN}|{HIDDEN}|short|node-role.kubernetes.io/control-plane|/etc/token|y"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"spec.cilium.values.x.password={SECRET}", f"spec.cilium.values.x.password={HIDDEN}"),
        (f"spec.cilium.values={{password: {SECRET}}}", f"spec.cilium.values={{password: {HIDDEN}}}"),
        (f"spec.cilium.repository=https://me:{SECRET}@charts", f"spec.cilium.repository=https://{HIDDEN}@charts"),
        ("runtimes=[runc]", "runtimes=[runc]"),
    ],
)
def test_a_setting_is_shown_without_its_secret(text: str, shown: str) -> None:
    assert setting(text) == shown


SAYS = f"echo {SECRET}x; echo the token {TOKEN}; echo {SECRET}x >&2; exit 3"


def test_what_a_command_says_reaches_nobody_with_a_secret(tmp_path: Path) -> None:
    """Progress, the error, and what a traceback would show of it."""
    heard: list[str] = []
    host, tree = LiveHost(progress=heard.append), LiveHost(str(tmp_path))
    host.hide([f"{SECRET}x"])
    with pytest.raises(CommandError) as caught:
        host.execute("sh", "-c", SAYS)
    host.say(f"waits for {SECRET}x")
    whole = "".join(traceback.format_exception(caught.value)) + caught.value.cause + caught.value.problem
    assert sorted(heard) == sorted([HIDDEN, f"the token abcdef.{HIDDEN}", HIDDEN, f"waits for {HIDDEN}"])
    assert HIDDEN in caught.value.cause
    assert [secret for secret in (f"{SECRET}x", TOKEN.partition(".")[2]) if secret in whole] == []
    tree.write("/etc/private", f"password: {SECRET}y\n".encode(), 0o600)
    assert tree.without(f"it says {SECRET}y") == f"it says {HIDDEN}"


@dataclass(frozen=True)
class Failing:
    """A resource whose program repeats what stands in its file."""

    name: str = "file:/etc/x"
    after: tuple[str, ...] = ()
    secret: bool = True
    reboots: bool = False
    secrets: tuple[str, ...] = (f"{SECRET}-given",)

    def look(self, _host: Reader) -> Known:
        return Known(f"password = '{SECRET}-before'")

    def target(self, _now: State) -> Known:
        return Known("", parts=(("/etc/x", Known(f"auth: {SECRET}-after")),))

    def apply(self, _host: Writer, _now: State) -> Outcome:
        raise CaasError("it failed", cause=f"{SECRET}-before, {SECRET}-after", fix=f"not {SECRET}-given")

    def undo(self, _now: State) -> Undo:
        return Undo()


def test_a_phase_that_fails_repeats_no_secret_of_its_resources(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    phase = Phase("host", "fails", lambda _facts, _profile: (Failing(),), (), ())
    run = Run(host, profile_load.load(), Ledger(host, "r"), lambda _: None, lambda: False, ())
    (report,) = run.phases((phase,), Facts())
    assert report.message == f"it failed: {HIDDEN}, {HIDDEN}"
    assert report.fix == f"not {HIDDEN}"
