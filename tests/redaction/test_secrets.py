"""Secrets in what is recorded: every known form goes, what only reads like one stays, and the text is as well formed as before."""

from __future__ import annotations

import base64
import json
import time

import pytest
import tomlkit
import yaml

from caasctl.hidden import HIDDEN
from caasctl.redaction.leaks import Scan
from caasctl.redaction.texts import Redaction

SECRET = "hunter2-and-3"
KEY64 = "TFMwdExTMUNSVWRKVGlCU1UwRWdVRkpKVmtGVVJT" * 3
TOKEN = "abcdef.0123456789abcdef"
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFakeFakeFakeFakeFakeFakeFakeFakeFake\n-----END EC PRIVATE KEY-----\n"
AUTH = base64.b64encode(f"robot:{SECRET}".encode()).decode()
OBJECT = {"apiVersion": "v1", "kind": "Secret", "data": {"k": AUTH}, "stringData": {"n": "plainplain"},
          "metadata": {"name": "registry", "annotations": {
              "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {"k": AUTH}})}}}  # fmt: skip


def redacted(*texts: str) -> tuple[list[str], Redaction]:
    """The texts of one recording."""
    redaction = Redaction(b"k")
    hidden = [redaction.hide("", text) for text in texts]
    return [redaction.rename("", text) for text in hidden], redaction


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"password = '{SECRET}'\nx = 1", SECRET),
        (f'{{"auths": {{"ghcr.io": {{"auth": "{AUTH}"}}}}}}', AUTH),
        (f'{{"auth": {{"password":"{SECRET}"}}}}', SECRET),
        (f"bindPassword: {SECRET}\n", SECRET),
        (f"spec:\n  adminPassphrase: '{SECRET}'\n", SECRET),
        (f'Authorization = ["Basic {SECRET}"]', SECRET),
        (f"curl -H 'Authorization: Bearer {SECRET}' https://x", SECRET),
        (f'Environment="API_TOKEN={SECRET}" "X=1"', SECRET),
        (f"HTTPS_PROXY=http://me:{SECRET}@proxy:3128", SECRET),
        (f"HTTPS_PROXY=http://me:p@{SECRET}@proxy:3128", SECRET),
        (f"HTTPS_PROXY=http://me@corp:{SECRET}@proxy:3128", SECRET),
        (f"    client-key-data: {KEY64}\n", KEY64),
        (f"    token: {JWT}\n", JWT),
        (f"said {JWT}, twice", JWT),
        (PEM, "MHcCAQEEIFake"),
        (json.dumps({"x": PEM}), "MHcCAQEEIFake"),
        (PEM[:60], "MHcCAQEEIFake"),
        (base64.b64encode(PEM.encode()).decode(), base64.b64encode(PEM.encode()).decode()),
        (f"kubeadm join 10.0.0.1:6443 --token {TOKEN}", "0123456789abcdef"),
        (f"[bootstrap-token] Using token: {TOKEN}", "0123456789abcdef"),
        (f"certificateKey: {'b2' * 32}", "b2" * 32),
        ("aws AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (f"aws_secret_access_key = {'wJalrXUtnFEMI/K7MDENG' * 2}", "wJalrXUtnFEMI"),
        (f"ghp_{'a1B2' * 9}", "a1B2a1B2"),
        (f"glpat-{'a1B2' * 5}", "a1B2a1B2"),
        ("root:$6$saltsalt$hashhashhashhash.hash:19000:0", "hashhash"),
        ("admin:$2y$05$abcdefghijklmnopqrstuv", "abcdefghij"),
        ("admin:$apr1$saltsalt$hashhashhash", "hashhash"),
        ("password_pbkdf2 root grub.pbkdf2.sha512.10000.AABBCCDDEEFF00112233", "AABBCC"),
        ("[Interface]\nPrivateKey = aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU=\n", "aGVsbG8g"),
        (json.dumps(OBJECT), AUTH),
        (json.dumps({"items": [OBJECT]}), "plainplain"),
        (yaml.safe_dump(OBJECT), AUTH),
        (f"apiVersion: v1\nkind: Secret\ndata:\n  k: {AUTH}\n---\nkind: ConfigMap\n", AUTH),
        ("kind: Secret\nstringData:\n  k: |\n    line one\n    line two\nx: 1\n", "line two"),
        (json.dumps({"manifest": json.dumps({"password": SECRET})}), SECRET),
    ],
)
def test_a_secret_of_a_known_form_is_hidden(text: str, secret: str) -> None:
    (left,), redaction = redacted(text)
    assert secret not in left
    assert HIDDEN in left
    assert sum(redaction.counts.values()) >= 1
    assert list(Scan(redaction).leaks(left)) == []
    assert Redaction(b"k").hide("", left) == left
    if text.startswith("{"):
        json.loads(left)


@pytest.mark.parametrize(
    "text",
    [
        '[x.auth]\npassword = ""\nanonymous-auth = false',
        "passwd:         files systemd\nshadow:         files\n",
        "authorization: {mode: Webhook}\nauthentication:\n  anonymous:\n    enabled: false\n",
        "tokenFile: /etc/token\n--enable-bootstrap-token-auth=true\n--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
        "-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIBAgIIR\n-----END CERTIFICATE-----\n",
        "- key: node-role.kubernetes.io/control-plane\n  effect: NoSchedule\n",
        "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUQ=\n",
        "registry.k8s.io/pause@sha256:" + "b2" * 32,
        "the token has expired; basic auth is off; bearer of bad news",
        "volumes:\n- name: x\n  secret:\n    secretName: registry-1\n",
        "password: $PASSWORD\npassword: <none>\n",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    (left,), redaction = redacted(text)
    assert left == text
    assert not redaction.counts
    assert list(Scan(redaction).leaks(left)) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"password = '{SECRET}'\nx = 1", f'password = "{HIDDEN}"\nx = 1'),
        (f'Environment="API_TOKEN={SECRET}" "X=1"', f'Environment="API_TOKEN={HIDDEN}" "X=1"'),
        (f"user:\n  token: {SECRET}\n", f'user:\n  token: "{HIDDEN}"\n'),
        (f"{{user: {{password: {SECRET}, x: 1}}}}", f'{{user: {{password: "{HIDDEN}", x: 1}}}}'),
        (PEM, f"-----BEGIN EC PRIVATE KEY----- {HIDDEN} -----END EC PRIVATE KEY-----\n"),
    ],
)
def test_a_text_keeps_its_form(text: str, left: str) -> None:
    assert redacted(text)[0] == [left]


def test_formats_still_parse() -> None:
    toml, conf, secret = redacted(
        f"[a.auth]\npassword = \"{SECRET}\"\nidentitytoken = '{SECRET}'\n",
        f"users:\n- name: a\n  user: {{client-key-data: {KEY64}, token: {JWT}}}\n",
        yaml.safe_dump_all([OBJECT, {"kind": "ConfigMap", "data": {"a": "b"}}]),
    )[0]
    assert tomlkit.parse(toml).unwrap()["a"]["auth"] == {"password": HIDDEN, "identitytoken": HIDDEN}
    assert yaml.safe_load(conf)["users"][0]["user"] == {"client-key-data": HIDDEN, "token": HIDDEN}
    first, second = yaml.safe_load_all(secret)
    assert (first["data"], first["metadata"]["name"], second["data"]) == ({"k": HIDDEN}, "registry", {"a": "b"})


def test_a_secret_that_one_text_gives_away_is_hidden_in_all() -> None:
    texts = (f"password: {SECRET}", f"it said {SECRET} here", base64.b64encode(f"my {SECRET} again".encode()).decode())
    left, redaction = redacted(*texts)
    assert left[1:] == [f"it said {HIDDEN} here", HIDDEN]
    assert not [text for text in left if list(Scan(redaction).leaks(text))]


def test_an_ordinary_word_is_not_hidden_everywhere() -> None:
    assert redacted("password: kubernetes", "kubernetes runs")[0][1] == "kubernetes runs"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PEM, "private key"),
        (f"x {JWT}", "JSON web token"),
        (f"Using token: {TOKEN}", "bootstrap token"),
        ("AKIAIOSFODNN7EXAMPLE", "cloud or forge key"),
        (f"client-key-data: {KEY64}", "key of a kubeconfig"),
        (f"  password: {SECRET}", "password, key or token"),
        (f"Authorization: Bearer {SECRET}", "authorization header"),
        ("MHcCAQEEIFakeFakeFakeFakeFake", "private key"),
        (base64.b64encode(PEM.encode()).decode(), "secret in base64"),
        (SECRET, "secret that stands elsewhere too"),
        (SECRET.encode().hex(), "secret in hexadecimal"),
        (base64.b64encode(f"..{SECRET}..".encode()).decode(), "secret in base64"),
        ("https://x/?a=hunter2%2Dand%2D3", "secret in a URL's escapes"),
        ("3c:ec:ef:01:02:03", "MAC address"),
        ("3cec.ef01.0203", "MAC address"),
        ("S5Y1NX0R123456", "serial number"),
        ("from 8.8.4.4 to", "public address"),
        ("ip-8-8-4-4.x", "public address"),
    ],
)
def test_the_scan_sees_what_is_left(text: str, kind: str) -> None:
    """Of a recording whose redaction met all this elsewhere, and does not know this form or place."""
    _, redaction = redacted(f"password: {SECRET}", "3c:ec:ef:01:02:03 Serial Number: S5Y1NX0R123456 8.8.4.4")
    assert kind in list(Scan(redaction).leaks(text))


def test_hostile_lines_cost_no_time() -> None:
    """Each pattern over what it could be slow on; the time of all is a bound on each."""
    lines = ("password=" * 10_000, "a-" * 25_000, "1." * 25_000, ":" * 50_000, "a:" * 25_000, "AA" * 50_000, '"' * 50_000,
             "-----BEGIN PRIVATE KEY-----" * 2_000, "\\" * 25_000, "https://" * 10_000, "kind: Secret\ndata:\n" * 3_000,
             "serial " * 10_000, "%41" * 15_000, "eyJ" * 15_000, " " * 50_000)  # fmt: skip
    for line in lines:
        began = time.monotonic()
        (left,), redaction = redacted(line)
        list(Scan(redaction).leaks(left))
        assert time.monotonic() - began < 5, line[:20]
