"""What stands in foreign files under a secret's name never reaches a terminal or a report."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import pytest

from caasctl.model import Evidence, Exit, Facts, Finding, Level, Report
from caasctl.protocol import Absent, Change, Known
from caasctl.report import FORMATS, data, diff, facts, write
from caasctl.report.masked import is_secret, masked
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
