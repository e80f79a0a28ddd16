"""Endpoint, token, CA hash and certificate key, each exactly as kubeadm takes it; an error never repeats a value."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

from caasctl.model import UsageError

_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{64}")
_HOST_PORT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>[^\[\]:/@\s]+)):(?P<port>\d{1,5})")
_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)
_MAX_PORT = 65535
HOW_TO_HASH = (
    "on a control plane: openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt"
    " | openssl pkey -pubin -outform der | sha256sum, and write sha256: before it"
)
NEW_COMMAND = "on a control plane: caasctl token create --out FILE, or kubeadm token create --print-join-command"
PUBLISH = "on a control plane: kubeadm init phase bootstrap-token"
NEW_KEY = "on a control plane: kubeadm init phase upload-certs --upload-certs"


def token(text: str, where: str) -> str:
    """A bootstrap token. Raises UsageError."""
    if not _TOKEN.fullmatch(text):
        raise UsageError(f"{where}: the token is none", cause="a bootstrap token is 6 and 16 lower case letters or digits with a dot between",
                         fix=NEW_COMMAND)  # fmt: skip
    return text


def ca_hash(text: str, where: str) -> str:
    """The hash of a CA's public key, lower case. Raises UsageError."""
    if not _HASH.fullmatch(text.lower()):
        raise UsageError(f"{where}: the CA certificate hash is none", cause="it is sha256: and 64 hexadecimal digits",
                         fix=HOW_TO_HASH)  # fmt: skip
    return text.lower()


def certificate_key(text: str, where: str) -> str:
    """The key that decrypts the control plane's uploaded certificates. Raises UsageError."""
    if not _KEY.fullmatch(text.lower()):
        raise UsageError(f"{where}: the certificate key is none", cause="it is 64 hexadecimal digits", fix=NEW_KEY)
    return text.lower()


def endpoint(text: str, where: str) -> str:
    """HOST:PORT of an API server, an IPv6 address in brackets. Raises UsageError."""
    found = _HOST_PORT.fullmatch(text)
    good = found and (
        _is_ipv6(found["bracketed"]) if found["bracketed"] else _is_host(found["host"]) and not _is_ipv6(found["host"])
    )
    if not found or not good or not 0 < int(found["port"]) <= _MAX_PORT:
        raise UsageError(f"{where}: the address of the API server is none", cause="it is HOST:PORT, where an IPv6 address stands in brackets",
                         fix="write it like 192.0.2.10:6443, [2001:db8::10]:6443 or api.example.com:6443")  # fmt: skip
    return text


def split(address: str) -> tuple[str, int]:
    """(host without brackets, port) of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_host(text: str) -> bool:
    """A name, or an IPv4 address: what is only digits and dots must be one."""
    if re.fullmatch(r"[\d.]+", text):
        return _is_address(text)
    return bool(_NAME.fullmatch(text))


def _is_ipv6(text: str) -> bool:
    return _is_address(text) and isinstance(ip_address(text), IPv6Address) and "%" not in text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
