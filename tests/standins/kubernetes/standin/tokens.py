"""kubeadm token and the upload of a control plane's certificates, as kubeadm does them.

Sources: kubernetes/kubernetes cmd/kubeadm/app/cmd/token.go (defaults: 24h, signing and authentication; the token alone on
stdout; `bootstrap token "ID" deleted`), cmd/kubeadm/app/phases/copycerts (Secret kubeadm-certs, two hours), cluster-bootstrap
token/util (a token's form).
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from pathlib import Path
from typing import Any

from . import place
from .client import ApiError, Client

SECRETS = "/api/v1/namespaces/kube-system/secrets"
FORM = r"[a-z0-9]{6}\.[a-z0-9]{16}"
UNITS = {"h": 3600, "m": 60, "s": 1}
SHARED = (
    "ca.crt",
    "ca.key",
    "sa.key",
    "sa.pub",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
)


def die(text: str) -> None:
    place.stop(f"{text}\nTo see the stack trace of this error execute with --v=5 or higher")


def seconds(text: str) -> float:
    """Of a duration in Go's words."""
    if text == "0":
        return 0
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        die(f'invalid argument "{text}" for "--ttl" flag: time: invalid duration "{text}"')
    return sum(float(number) * UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", text))


def create(api: Client, words: list[str], given: dict[str, str]) -> None:
    token = words[0] if words else f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"
    if not re.fullmatch(FORM, token):
        die(f'the bootstrap token "{token}" was not of the form "\\\\A([a-z0-9]{{6}})\\\\.([a-z0-9]{{16}})\\\\z"')
    ident, _, secret = token.partition(".")
    usages = given.get("usages", "signing,authentication").split(",")
    if set(usages) - {"signing", "authentication"}:
        die("usages: Invalid value: valid bootstrap token usages are signing,authentication")
    data = {"token-id": ident, "token-secret": secret, "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
            **{f"usage-bootstrap-{name}": "true" for name in usages}}  # fmt: skip
    if given.get("description"):
        data["description"] = given["description"]
    live = seconds(given.get("ttl", "24h"))
    if live:
        data["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + live))
    put(api, f"bootstrap-token-{ident}", data, "bootstrap.kubernetes.io/token")
    print(token, flush=True)
    place.die_if_asked("kubeadm-kill", "token")


def delete(api: Client, words: list[str]) -> None:
    for word in words:
        ident = word.partition(".")[0]
        try:
            api.call("DELETE", f"{SECRETS}/bootstrap-token-{ident}")
        except ApiError as error:
            die(f'failed to delete bootstrap token "{ident}": {error}')
        print(f'bootstrap token "{ident}" deleted', flush=True)


def upload(api: Client, folder: Path, key: str, *, silent: bool) -> None:
    """The certificates under a key; what they are encrypted by is no matter of a stand-in, that they are all there is."""
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        die(
            "error execution phase upload-certs: error uploading certs: error decoding certificate key: encoding/hex: invalid byte"
        )
    for name in SHARED:
        if not (folder / name).exists():
            die(f"error execution phase upload-certs: error uploading certs: error getting certificate file {folder / name}: "
                f"open {folder / name}: no such file or directory")  # fmt: skip
    print(
        '[upload-certs] Storing the certificates in Secret "kubeadm-certs" in the "kube-system" Namespace', flush=True
    )
    put(api, "kubeadm-certs", {name.replace("/", "-"): "(encrypted)" for name in SHARED}, "Opaque")
    if not silent:
        print(f"[upload-certs] Using certificate key:\n{key}", flush=True)


def put(api: Client, name: str, data: dict[str, str], kind: str) -> None:
    encoded: dict[str, Any] = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    api.put(SECRETS, {"metadata": {"name": name}, "type": kind, "data": encoded})
