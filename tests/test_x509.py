"""Certificates as kubeadm makes them (these two by openssl, good until 2109), and texts that are none."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from caasctl import x509

CA = """\
-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUWK17hAkHbbSxBC6z6bu7aIgLvd8wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjUwOTQ3MTNaGA8yMTI2MTEw
MTA5NDcxM1owFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABEMag32AaxiqgLtBUa1ohSYDwjDpjBlg3Iyq2gw08eyNzUETMpgO
9IF2l1yLtlUZAIimlCY8wmivsOk4wsftobSjUzBRMB0GA1UdDgQWBBRlGJ1kvx6m
ErlSgg9bMXYkrORVOTAfBgNVHSMEGDAWgBRlGJ1kvx6mErlSgg9bMXYkrORVOTAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFe1jtpEwD5w9MSE6edW
cfLh1hiY3P6G7ntWWB5GfMwSAiBP+RhXwjsdNOPpNcQZfzocbkb5BZ/ibxMxEUom
oid1AA==
-----END CERTIFICATE-----
"""
API_SERVER = """\
-----BEGIN CERTIFICATE-----
MIIBqzCCAVGgAwIBAgIUW/5/5syU9Z2ssHnN4yIT4Rixk1swCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjUwOTQ3MTNaGA8yMTA5MDEx
NDA5NDcxM1owGTEXMBUGA1UEAwwOa3ViZS1hcGlzZXJ2ZXIwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAREY1+5l8V3DPU+QGKzE5Pxgkxnf65WUKUTAHLhj1kvCL1K
/R1JHyfUpKwmny68eDgWyRBR5qLiYgj9gMpZKmJio3kwdzA1BgNVHREELjAsggpr
dWJlcm5ldGVzggZub2RlLTGHBApgAAGHEP0AAAAAAAAAAAAAAAAAAAEwHQYDVR0O
BBYEFF99FxZKWJE3NyWK1DaqFrape1mAMB8GA1UdIwQYMBaAFGUYnWS/HqYSuVKC
D1sxdiSs5FU5MAoGCCqGSM49BAMCA0gAMEUCIQCWfgMKItWkPkiL95dUK74+grJI
lhlNxD9F8sqWUvrdcwIgJfWHEkVFRcH10nkKkprkKvq7rAlriwgnS560Ji+Jo+I=
-----END CERTIFICATE-----
"""


def test_an_authority() -> None:
    found = x509.parse(CA, "ca.crt")
    assert (found.common_name, found.issued_by, found.ca, found.names) == ("kubernetes", "kubernetes", True, ())
    assert found.not_before == datetime(2026, 11, 25, 9, 47, 13, tzinfo=timezone.utc)
    # openssl x509 -pubkey -in ca.crt | openssl pkey -pubin -outform der | sha256sum
    assert found.spki_sha256 == "d8285427509aa4800a50e60c5ecf985692494ecd928cfed166face89f1549b17"


def test_an_api_server_with_names_and_addresses_of_both_families() -> None:
    found = x509.parse(API_SERVER, "apiserver.crt")
    assert (found.common_name, found.issued_by, found.ca) == ("kube-apiserver", "kubernetes", False)
    assert found.names == ("kubernetes", "node-1", "10.96.0.1", "fd00::1")
    assert found.not_after.year == 2109


def test_the_first_of_a_bundle_counts() -> None:
    assert x509.parse(API_SERVER + CA, "bundle").common_name == "kube-apiserver"


@pytest.mark.parametrize(
    "text", ["", "\n", "hello", CA[:200], CA.replace("MIIB", "MIIC"), CA.replace("CERTIFICATE", "PUBLIC KEY"), "\udcff"]
)
def test_what_is_no_certificate_is_named(text: str) -> None:
    with pytest.raises(x509.CertificateError, match=r"^/etc/x\.crt holds no certificate"):
        x509.parse(text, "/etc/x.crt")
