"""What join-node is given, in both forms and in every way wrong; signatures as Kubernetes makes them; no secret in any error."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from caasctl.model import UsageError
from caasctl.syntax.join import cluster_info, given, kubeconfig, values
from caasctl.syntax.join.given import Given

TOKEN, HASH, KEY = "abcdef.0123456789abcdef", "sha256:" + "a1" * 32, "b2" * 32
SECRETS = (TOKEN, TOKEN.partition(".")[2], KEY, KEY[:20])
WORKER = f"kubeadm join 192.0.2.10:6443 --token {TOKEN} --discovery-token-ca-cert-hash {HASH} "
CONTROL = f"kubeadm join api.example.com:6443 --token {TOKEN} \\\n\t--discovery-token-ca-cert-hash {HASH} \\\n\t--control-plane --certificate-key {KEY}\n"
MAPPING = f"endpoint: '[2001:db8::1]:6443'\ntoken: {TOKEN}\ncaCertHashes: ['{HASH}']\ncertificateKey: '{KEY}'\n"
# Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=kubernetes`.
CA = """-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUWUAEXX97Vi5iY/+T3YrI+FwucS0wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjUxMDI1NTBaGA8yMTI2MTEw
MTEwMjU1MFowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABGgukFy1AJ3vVFV+7brsvx+axzvHKTSIVYk6KyXBOil6udoMzzre
gOUa0x8KcmOxbZNsHt7TOlSsDDIrORneD5ejUzBRMB0GA1UdDgQWBBSDD9XPbiY2
R+E21D2caZ/FacXKHDAfBgNVHSMEGDAWgBSDD9XPbiY2R+E21D2caZ/FacXKHDAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGV0NQy2iZK9XjW284+i
gTe5cONFNDCG29kRu84QzhcNAiBz7eNgdDp//RbRKhFlUuRPLM+x9Or0kwYIDuU7
ksjYOg==
-----END CERTIFICATE-----
"""


def access(text: str) -> kubeconfig.Access:
    return kubeconfig.parse(text, "FILE")


def config(*, server: str = "https://192.0.2.10:6443", ca: str = CA, cluster: str = "", user: str = "") -> str:
    data = base64.b64encode(ca.encode()).decode()
    return f"""apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters:
- name: k
  cluster: {{server: '{server}', {cluster or f"certificate-authority-data: {data}"}}}
users: [{{name: u, user: {{{user}}}}}]
"""


# -- the join command --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        WORKER,
        f"$ sudo {WORKER}\n",
        f"root@cp:~# {WORKER}\r\n",
        WORKER.replace(" --", " \\\n    --"),
        WORKER.replace(" --", " \\\r\n    --"),
        WORKER.replace("--token ", "--token=").replace("hash ", "hash="),
        f"W1125 08:00:00.000000 1 x.go:1] a warning\n{WORKER}--v=5\n",
        f"{WORKER} -v 5",
        WORKER.upper().replace("KUBEADM JOIN", "kubeadm join").replace("--TOKEN ABCDEF.0123456789ABCDEF", f"--token {TOKEN}")
        .replace("--DISCOVERY-TOKEN-CA-CERT-HASH SHA256", "--discovery-token-ca-cert-hash sha256"),
    ],
)  # fmt: skip
def test_the_command_that_kubeadm_prints_is_read(text: str) -> None:
    assert given.parse(text, "FILE") == Given("192.0.2.10:6443", TOKEN, (HASH,))


def test_of_a_control_plane_with_several_hashes() -> None:
    assert given.parse(CONTROL, "FILE") == Given("api.example.com:6443", TOKEN, (HASH,), KEY, control_plane=True)
    other = "sha256:" + "00" * 32
    said = given.parse(f"{WORKER}--discovery-token-ca-cert-hash {other},{HASH}", "FILE")
    assert said.ca_hashes == (HASH, other, HASH)


def test_a_mapping_is_read() -> None:
    assert given.parse(MAPPING, "FILE") == Given("[2001:db8::1]:6443", TOKEN, (HASH,), KEY)
    assert given.parse(f"caCertHashes: {HASH}", "FILE").ca_hashes == (HASH,)


def test_a_token_alone_is_read() -> None:
    assert given.parse(f"{TOKEN}\n", "FILE") == Given(token=TOKEN)


WRONG = {
    "unsafe": (
        f"kubeadm join h:1 --token {TOKEN} --discovery-token-unsafe-skip-ca-verification",
        "unsafe-skip",
        "sha256sum",
    ),
    "two commands": (CONTROL + WORKER, "holds 2 join commands", "leave the one"),
    "no address": (f"kubeadm join --token {TOKEN}", "0 addresses", "print-join-command"),
    "two addresses": (f"{WORKER} {TOKEN}", "2 addresses", "print-join-command"),
    "nothing behind": ("kubeadm join", "0 addresses", "print-join-command"),
    "open quote": (f"kubeadm join '{TOKEN}", "quote", "print-join-command"),
    "token as address": (f"kubeadm join {TOKEN}", "address of the API server is none", "192.0.2.10:6443"),
    "no port": (f"kubeadm join 192.0.2.10 --token {TOKEN}", "address", "6443"),
    "short token": (WORKER.replace(TOKEN, TOKEN[:-1]), "the token is none", "print-join-command"),
    "upper case token": (WORKER.replace(TOKEN, TOKEN.upper()), "the token is none", "print-join-command"),
    "short hash": (WORKER.replace(HASH, HASH[:-1]), "hash is none", "openssl"),
    "bare hash": (WORKER.replace(HASH, HASH[7:]), "hash is none", "openssl"),
    "short key": (CONTROL.replace(KEY, KEY[:-1]), "key is none", "upload-certs"),
    "foreign option": (f"{WORKER} --cri-socket unix:///x", "--cri-socket", "leave that option out"),
    "option with a secret": (f"{WORKER} --{TOKEN}", "an option", "leave that option out"),
    "empty": ("", "neither", "print-join-command"),
    "list": ("[1]", "neither", "print-join-command"),
    "broken YAML": (f"token: {TOKEN}\n  x: [", "neither", "print-join-command"),
    "given twice": (f"token: {TOKEN}\ntoken: {TOKEN}", "neither", "print-join-command"),
    "misspelt key": (f"tokn: {TOKEN}", "a key that is not known", "did you mean token?"),
    "secret as key": (f"{{{KEY}: x}}", "a key that is not known", "print-join-command"),
    "a number": (f"token: {TOKEN}\nendpoint: 6443", "no text", "quotes"),
    "hashes as mapping": ("caCertHashes: {a: b}", "no text", "quotes"),
}


@pytest.mark.parametrize(("text", "said", "fix"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_fix_and_no_secret_is_repeated(text: str, said: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        given.parse(text, "FILE")
    error = caught.value
    assert said in error.problem
    assert fix in error.fix
    assert error.cause
    told = f"{error.problem} {error.cause} {error.fix}"
    assert told.isascii()
    assert not [secret for secret in SECRETS if secret.lower() in told.lower()]


@over(st.text(alphabet=f"kubeadm join\\\n-='\"[]{{}}:{TOKEN} {HASH}", max_size=200))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    for each in (f"kubeadm join {text}", text):
        with suppress(UsageError):
            assert isinstance(given.parse(each, "FILE"), Given)


@pytest.mark.parametrize(
    "text", ["192.0.2.10:6443", "[::1]:6443", "[2001:db8::10]:443", "cp-1:6443", "API.example.com:1"]
)
def test_an_endpoint(text: str) -> None:
    assert values.endpoint(text, "FILE") == text


@pytest.mark.parametrize(
    "text",
    ["", "h", "h:", ":6443", "h:0", "h:65536", "::1:6443", "[::1]", "[192.0.2.1]:1", "[fe80::1%eth0]:1", "256.0.0.1:1", "1.2.3:1", "https://h:1",
     "h:1/path", "a b:1", "-h:1", "user@h:1", "h_x:1", f"{'a' * 64}:1"],
)  # fmt: skip
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(UsageError, match="address of the API server is none"):
        values.endpoint(text, "FILE")


# -- by token, by discovery file, by both ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        (Given(), "the API server's address and a token"),
        (Given(token=TOKEN), "the API server's address"),
        (Given("h:1", "", (HASH,)), "a token"),
        (Given("h:1", TOKEN), "the CA certificate hash"),
    ],
)
def test_a_token_discovers_with_address_and_hash(said: Given, lacks: str) -> None:
    with pytest.raises(UsageError) as caught:
        given.join(said, None, "", "FILE")
    assert caught.value.problem == f"FILE lacks {lacks}"


def test_a_discovery_file_brings_address_and_ca_and_perhaps_the_token() -> None:
    found = given.join(Given(), access(config(user=f"token: {TOKEN}")), "/d", "")
    assert (found.endpoint, found.token, found.ca, found.discovery_file) == ("192.0.2.10:6443", TOKEN, CA, "/d")
    found = given.join(Given(token=TOKEN, certificate_key=KEY), access(config()), "/d", "FILE")
    assert (found.token, found.certificate_key) == (TOKEN, KEY)
    assert not [secret for secret in (*SECRETS, "BEGIN") if secret in repr(found)]


def test_files_of_two_clusters_and_a_missing_token_are_refused() -> None:
    with pytest.raises(UsageError, match="different API servers"):
        given.join(Given("h:1", TOKEN), access(config()), "/d", "FILE")
    with pytest.raises(UsageError, match="no bootstrap token"):
        given.join(Given(), access(config()), "/d", "")


@pytest.mark.parametrize(
    ("role", "said", "problem"),
    [
        ("single-node", Given(), "joins nothing"),
        ("worker", Given(certificate_key=KEY), "for a control plane and profile p for a worker"),
        ("worker", Given(control_plane=True), "for a control plane and profile p for a worker"),
    ],
)
def test_a_role_that_does_not_fit_is_refused(role: str, said: Given, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        given.refuse_role(said, role, "p", "FILE")
    assert "--profile control-plane" in caught.value.fix


def test_roles_that_fit() -> None:
    given.refuse_role(Given(), "worker", "p", "FILE")
    given.refuse_role(Given(), "control-plane", "p", "FILE")


# -- kubeconfigs -------------------------------------------------------------------------------------------------------
def test_a_kubeconfig_as_cluster_info_has_it() -> None:
    data = base64.b64encode(CA.encode()).decode()
    text = f"clusters:\n- cluster:\n    certificate-authority-data: {data}\n    server: https://192.0.2.10\n  name: ''\ncontexts: null\nusers: null\n"
    assert access(text).endpoint == "192.0.2.10:443"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no list of clusters"),
        ("}{", "is not valid YAML"),
        ("clusters: []", "names no cluster"),
        ("clusters: [1, {name: a, cluster: {}}, {name: b, cluster: {}}]", "names no cluster"),
        (config(cluster="insecure-skip-tls-verify: true"), "insecure-skip-tls-verify"),
        (config(cluster="certificate-authority: /ca.crt"), "no certificate-authority-data"),
        (config(cluster="certificate-authority-data: '%%'"), "that is no certificate"),
        (config(ca="text"), "that is no certificate"),
        (config(ca="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "that is no certificate"),
        (config(server="http://192.0.2.10:6443"), "no server of the form"),
        (config(server="https://h:1/k8s/clusters/c-1"), "no server of the form"),
        (config(user="client-certificate-data: eA=="), "without a bootstrap token"),
        (config(user="token: eyJhbGciOi"), "the token is none"),
    ],
)
def test_a_kubeconfig_that_proves_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        access(text)
    assert said in caught.value.problem
    assert caught.value.fix
    assert "eyJ" not in f"{caught.value.problem} {caught.value.cause} {caught.value.fix}"


# -- signatures --------------------------------------------------------------------------------------------------------
def test_a_signature_is_the_one_that_kubernetes_makes() -> None:
    """The test vector of kubernetes/cluster-bootstrap token/jws."""
    content = "Hello from the other side. I must have called a thousand times."
    signed = cluster_info.signature("joshua.my voice is my passcode", content)
    assert signed == "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
