"""Certificates: PEM to what a node's engineer asks of one. The only home of asn1crypto."""

from __future__ import annotations

import hashlib
from datetime import datetime

from caasctl.frozen import dataclass
from caasctl.model import CaasError


class CertificateError(CaasError):
    """A text holds no certificate."""


@dataclass(frozen=True)
class Certificate:
    """not_before, not_after: with time zone. names: DNS names and IP addresses of subjectAltName.

    spki_sha256: hex of the SubjectPublicKeyInfo, what kubeadm calls a CA's hash. issued_by: the issuer's common name.
    """

    common_name: str
    issued_by: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    ca: bool
    spki_sha256: str


def parse(pem: str, what: str) -> Certificate:
    """The first certificate of a PEM text; `what` names it in the error. Raises CertificateError."""
    from asn1crypto import pem as armour  # noqa: PLC0415 - 40 ms
    from asn1crypto import x509  # noqa: PLC0415

    try:
        label, _, der = armour.unarmor(pem.encode())
        found = {"CERTIFICATE": x509.Certificate}[label].load(der)
        inner = found["tbs_certificate"]["subject_public_key_info"]
        alternative = found.subject_alt_name_value
        return Certificate(
            str(found.subject.native.get("common_name", "")),
            str(found.issuer.native.get("common_name", "")),
            found.not_valid_before,
            found.not_valid_after,
            tuple(str(name) for name in alternative.native) if alternative else (),
            bool(found.ca),
            hashlib.sha256(inner.dump()).hexdigest(),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CertificateError(f"{what} holds no certificate: {error}", fix="see where it came from") from error
