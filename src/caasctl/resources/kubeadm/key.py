"""EncryptionKey: the key with which the API server encrypts secrets in etcd, made once on the host and never replaced."""

from __future__ import annotations

import base64
import secrets

from caasctl.formats import dump_yaml
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import kubeadm

THERE = "there"
MODE = 0o600
KEY_BYTES = 32  # secretbox: XSalsa20 and Poly1305
_API_SERVER = kubeadm.MANIFESTS[1]


@dataclass(frozen=True)
class EncryptionKey:
    """Its text is in no state, plan or record: it is there, or it is not."""

    path: str = kubeadm.ENCRYPTION
    after: tuple[str, ...] = ()
    secret: bool = False  # what is shown of it is a word
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"key:{self.path}"

    def look(self, host: Reader) -> State:
        try:
            there = host.stat(self.path, follow=False)
            if there:
                return Known(THERE, there.mode)
            manifest = host.read(_API_SERVER)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if manifest is None:
            return Absent()
        if self.path in manifest:
            return Unknown(f"{self.path} is gone, and the API server reads it: bring it back from a copy, "
                           "a new key opens none of the secrets in etcd")  # fmt: skip
        return Known("the cluster was begun without it")

    def target(self, now: State) -> State:
        return Known(THERE, MODE) if isinstance(now, Absent) or (isinstance(now, Known) and now.text == THERE) else now

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again: no key is written over
        old = host.read_bytes(self.path)
        host.write(self.path, new_configuration().encode() if old is None else old, MODE)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing=f"{self.path} stays: secrets in etcd, and in its backups, can be read with this key only")


def new_configuration() -> str:
    """Provider secretbox first: it writes. identity last: it reads what was written before there was a key."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    providers = [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    return dump_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        }
    )
