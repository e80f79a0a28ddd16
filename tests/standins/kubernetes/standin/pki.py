"""Certificates and kubeconfigs as kubeadm makes them, by openssl.

Source: kubernetes/kubernetes cmd/kubeadm/app/phases/certs/certlist.go, cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml


def openssl(*words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(("openssl", *words), input=given, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.decode()}")
    return done.stdout


def key(path: Path) -> None:
    write(path, openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"), 0o600)


def authority(base: Path, name: str) -> None:
    """base.key and base.crt, the certificate of an authority."""
    key(base.with_suffix(".key"))
    made = openssl("req", "-x509", "-new", "-key", str(base.with_suffix(".key")), "-subj", f"/CN={name}", "-days", "3650", "-addext",
                   f"subjectAltName=DNS:{name}", "-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign")  # fmt: skip
    write(base.with_suffix(".crt"), made, 0o644)


def leaf(base: Path, ca: Path, subject: str, names: Iterable[str] = (), *, usage: str = "clientAuth") -> None:
    """base.key and base.crt, signed by ca. names: as DNS:a or IP:1.2.3.4."""
    key(base.with_suffix(".key"))
    request = openssl("req", "-new", "-key", str(base.with_suffix(".key")), "-subj", subject)
    extensions = f"keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\nbasicConstraints=critical,CA:FALSE\n"
    listed = ",".join(names)
    extensions += f"subjectAltName={listed}\n" if listed else ""
    with tempfile.NamedTemporaryFile("w", suffix=".ext") as file:
        file.write(extensions)
        file.flush()
        made = openssl("x509", "-req", "-CA", str(ca.with_suffix(".crt")), "-CAkey", str(ca.with_suffix(".key")), "-CAcreateserial",
                       "-CAserial", f"{file.name}.srl", "-days", "365", "-extfile", file.name, given=request)  # fmt: skip
        Path(f"{file.name}.srl").unlink(missing_ok=True)
    write(base.with_suffix(".crt"), made, 0o644)


def spki_hash(crt: Path) -> str:
    """sha256:HEX of the certificate's public key, as kubeadm's discovery has it."""
    public = openssl("x509", "-in", str(crt), "-pubkey", "-noout")
    return "sha256:" + hashlib.sha256(openssl("pkey", "-pubin", "-outform", "der", given=public)).hexdigest()


def kubeconfig(path: Path, server: str, ca: Path, user: str, subject: str) -> None:
    """A kubeconfig with a client certificate of its own inside."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "client"
        leaf(base, ca, subject)
        made = {
            "client-certificate-data": _data(base.with_suffix(".crt")),
            "client-key-data": _data(base.with_suffix(".key")),
        }
    write_config(path, server, ca.with_suffix(".crt"), user, made)


def write_config(path: Path, server: str, ca_crt: Path, user: str, credentials: dict[str, str]) -> None:
    context = f"{user}@kubernetes"
    data = {
        "apiVersion": "v1",
        "clusters": [
            {"cluster": {"certificate-authority-data": _data(ca_crt), "server": server}, "name": "kubernetes"}
        ],
        "contexts": [{"context": {"cluster": "kubernetes", "user": user}, "name": context}],
        "current-context": context,
        "kind": "Config",
        "preferences": {},
        "users": [{"name": user, "user": credentials}],
    }
    write(path, yaml.safe_dump(data).encode(), 0o600)


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
