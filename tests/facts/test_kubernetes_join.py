"""The control plane that is to be joined, asked over real TLS: who it is, whether it can be trusted, what stands in the way."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.standins.api_server import Authority, Cluster, serving

from caasctl import remote
from caasctl.facts import kubernetes_join
from caasctl.facts.kubernetes_join import JoinFiles, JoinTarget, look, parse_version, read_files
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.profile import Join
from caasctl.remote import Answer, Trouble

TOKEN = "abcdef.0123456789abcdef"
OTHER = "abcdef.ffffffffffffffff"
HERE = "IP:127.0.0.1,DNS:localhost"
Certificate = tuple[Path, Path]


@dataclass(frozen=True)
class Certificates:
    """Of one CA, and another CA beside it."""

    ca: Authority
    good: Certificate
    expired: Certificate
    future: Certificate
    other_names: Certificate
    other_ca: Authority
    of_other_ca: Certificate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    ca = Authority.make(tmp_path_factory.mktemp("pki") / "ours")
    other = Authority.make(tmp_path_factory.mktemp("pki") / "other")
    return Certificates(
        ca,
        ca.issue("good", HERE),
        ca.issue("expired", HERE, end="20210101000000Z"),
        ca.issue("future", HERE, start="20480101000000Z"),
        ca.issue("names", "DNS:api.example.com,IP:192.0.2.10"),
        other,
        other.issue("good", HERE),
    )


Seen = Callable[..., JoinTarget]


@pytest.fixture
def seen(made: Certificates) -> Seen:
    def see(cluster: Cluster | None = None, certificate: Certificate | None = None, **given: object) -> JoinTarget:
        there = cluster or Cluster(made.ca.pem, (TOKEN,))
        with serving(there, certificate or made.good) as port:
            join = Join(f"127.0.0.1:{port}", TOKEN, (made.ca.hash,))
            return look(replace(join, **given), deadline_s=5)  # type: ignore[arg-type]

    return see


def trouble(answer: Answer | None) -> Trouble | None:
    assert answer
    return answer.trouble


# -- the cluster that was meant ----------------------------------------------------------------------------------------
def test_the_cluster_that_was_meant_is_trusted_and_tells_its_version(seen: Seen) -> None:
    found = seen()
    assert (found.wrong, found.trusted, found.listed, found.signed) == ("", True, True, True)
    assert (trouble(found.first), trouble(found.proven), found.named) == (None, None, None)
    assert (found.version, found.first and found.first.skew_s) == ("v1.36.4", 0)
    assert found.first
    assert "BEGIN CERTIFICATE" in found.first.certificate
    assert found.first.body == ""


def test_no_secret_leaves_this_host(seen: Seen, made: Certificates) -> None:
    cluster = Cluster(made.ca.pem, (TOKEN,))
    found = seen(cluster, certificate_key="ab" * 32)
    assert len(cluster.asked) == 2
    for said in (*cluster.asked, repr(found), repr(Join("a:1", TOKEN, certificate_key="ab" * 32))):
        assert TOKEN.partition(".")[2] not in said
        assert "Authorization" not in said
        assert "abab" not in said


def test_another_ca_than_the_hash_says_is_not_trusted_and_nothing_else_is_asked(seen: Seen, made: Certificates) -> None:
    cluster = Cluster(made.other_ca.pem, (TOKEN,))
    found = seen(cluster, made.of_other_ca)
    assert (found.trusted, found.ca_hashes, found.proven) == (False, (made.other_ca.hash,), None)
    assert len(cluster.asked) == 1


def test_one_of_several_hashes_is_enough(seen: Seen, made: Certificates) -> None:
    assert seen(ca_hashes=(made.other_ca.hash, made.ca.hash)).trusted


@pytest.mark.parametrize(("tokens", "signed"), [((), None), (("ghijkl.0123456789abcdef",), None), ((OTHER,), False)])
def test_a_token_is_known_by_its_signature(
    *, tokens: tuple[str, ...], signed: bool | None, seen: Seen, made: Certificates
) -> None:
    found = seen(Cluster(made.ca.pem, tokens))
    assert (found.listed, found.signed) == (True, signed)


def test_a_server_whose_certificate_is_of_another_ca_than_it_publishes(seen: Seen, made: Certificates) -> None:
    assert trouble(seen(certificate=made.of_other_ca).proven) is Trouble.OTHER_CA


@pytest.mark.parametrize(
    ("which", "why"),
    [("expired", Trouble.EXPIRED), ("future", Trouble.NOT_YET), ("other_names", Trouble.OTHER_NAME)],
)
def test_what_is_wrong_with_a_certificate_is_told_apart(
    which: str, why: Trouble, seen: Seen, made: Certificates
) -> None:
    found = seen(certificate=getattr(made, which))
    assert (trouble(found.first), trouble(found.proven)) == (None, why)
    assert found.version == ""


@pytest.mark.parametrize("seconds", [-400, 0, 1, 90])
def test_the_servers_clock_is_compared_with_ours(seconds: int, seen: Seen, made: Certificates) -> None:
    first = seen(Cluster(made.ca.pem, (TOKEN,), clock_s=seconds)).first
    assert first
    assert first.skew_s is not None
    assert abs(first.skew_s - seconds) <= 2


def test_the_server_that_cluster_info_names_is_asked_too(seen: Seen, made: Certificates) -> None:
    cluster = Cluster(made.ca.pem, (TOKEN,), server="localhost:1")
    assert trouble(seen(cluster).named) is Trouble.REFUSED
    with serving(Cluster(made.ca.pem), made.good) as port:
        cluster = Cluster(made.ca.pem, (TOKEN,), server=f"localhost:{port}")
        assert trouble(seen(cluster).named) is None


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_cluster_that_publishes_nothing_says_so_by_its_status(status: int, seen: Seen, made: Certificates) -> None:
    found = seen(Cluster(made.ca.pem, (TOKEN,), status=status))
    assert found.first
    assert (found.first.status, found.trusted, found.listed, found.proven) == (status, False, False, None)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("<html>", "it is no JSON"),
        ("[]", "it holds no kubeconfig"),
        ('{"data": {"kubeconfig": ""}}', "it holds no kubeconfig"),
        ('{"data": {"kubeconfig": "clusters: []"}}', "names no cluster"),
        ('{"data": {"kubeconfig": "}{"}}', "is not valid YAML"),
    ],
)
def test_a_cluster_info_that_cannot_be_used_says_why(body: str, wrong: str, seen: Seen, made: Certificates) -> None:
    found = seen(Cluster(made.ca.pem, (TOKEN,), body=body))
    assert wrong in found.wrong
    assert not found.trusted


# -- by a discovery file -----------------------------------------------------------------------------------------------
def test_a_discovery_file_trusts_its_own_ca_only(seen: Seen, made: Certificates) -> None:
    found = seen(ca=made.ca.pem, ca_hashes=())
    assert (found.trusted, found.version, found.signed) == (True, "v1.36.4", True)
    found = seen(Cluster(made.other_ca.pem, (TOKEN,)), made.of_other_ca, ca=made.ca.pem, ca_hashes=())
    assert trouble(found.proven) is Trouble.OTHER_CA
    assert not seen(ca=made.ca.pem, ca_hashes=(made.other_ca.hash,)).trusted


def test_a_discovery_file_does_without_cluster_info(seen: Seen, made: Certificates) -> None:
    found = seen(Cluster(made.ca.pem, (TOKEN,), status=403), ca=made.ca.pem, ca_hashes=())
    assert (found.trusted, found.listed, found.version) == (True, False, "v1.36.4")


# -- no answer ---------------------------------------------------------------------------------------------------------
def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert trouble(look(Join(f"127.0.0.1:{port}", TOKEN)).first) is Trouble.REFUSED


def test_something_that_speaks_no_tls(made: Certificates) -> None:
    with serving(Cluster(made.ca.pem), None) as port:
        assert trouble(look(Join(f"127.0.0.1:{port}", TOKEN), deadline_s=5).first) is Trouble.NOT_TLS


def test_something_that_takes_the_connection_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert (
            trouble(look(Join(f"127.0.0.1:{silent.getsockname()[1]}", TOKEN), deadline_s=0.5).first) is Trouble.SILENT
        )


def test_a_server_that_hangs_ends_with_the_deadline(made: Certificates) -> None:
    with serving(Cluster(made.ca.pem, hangs_s=2), made.good) as port:
        assert trouble(look(Join(f"127.0.0.1:{port}", TOKEN), deadline_s=0.6).first) is Trouble.SILENT


def test_a_name_that_is_none() -> None:
    found = remote.get("no-such-host.invalid", 6443, "/version", timeout_s=5)
    assert found.trouble in (Trouble.NAME, Trouble.SILENT)  # a host without name servers waits


def test_no_route() -> None:
    assert remote.get("2001:db8::1", 6443, "/version", timeout_s=1).trouble in (Trouble.NO_ROUTE, Trouble.SILENT)


# -- the rest ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"gitVersion": "v1.36.4"}', "v1.36.4"),
        ("", ""),
        ("{}", ""),
        ('{"gitVersion": 1}', ""),
        ("[1]", ""),
        ("<x>", ""),
    ],
)
def test_version(text: str, version: str) -> None:
    assert parse_version(text) == version


def test_what_a_joining_control_plane_has_on_disk(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert read_files(host) == JoinFiles(encryption=False, missing=kubernetes_join.SHARED)
    for path in (*kubernetes_join.SHARED[1:], kubernetes_join.ENCRYPTION):
        host.write(path, b"x")
    assert read_files(host) == JoinFiles(encryption=True, missing=("/etc/kubernetes/pki/ca.crt",))


def test_from_a_recording_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="only from the host"):
        kubernetes_join.elsewhere(LiveHost(str(tmp_path)))
