"""A client of the API server by a kubeconfig, with its certificate or token, as the programs have it from client-go."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]


class ApiError(Exception):
    """A Status of the API server, or code 0 where there is no answer."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason


class Client:
    def __init__(self, server: str, ca: bytes, token: str = "", crt: bytes = b"", key: bytes = b"") -> None:
        self.server, self._token = server, token
        self._connection: http.client.HTTPSConnection | None = None
        self._tls = ssl.create_default_context()
        if ca:
            self._tls.load_verify_locations(cadata=ca.decode())
        else:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        if crt:
            with tempfile.NamedTemporaryFile() as file:
                file.write(crt + b"\n" + key)
                file.flush()
                self._tls.load_cert_chain(file.name)

    @classmethod
    def of(cls, path: Path | str) -> Client:
        """By a kubeconfig with its data inside, or naming files."""
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        cluster, user = data["clusters"][0]["cluster"], (data.get("users") or [{}])[0].get("user", {})
        return cls(cluster["server"], _of(cluster, "certificate-authority"), user.get("token", ""), _of(user, "client-certificate"),
                   _of(user, "client-key"))  # fmt: skip

    def call(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Any:
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {})}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        status, text = self._ask(method, path, json.dumps(body) if body is not None else None, headers)
        if status >= 400:
            told = json.loads(text) if text.startswith("{") else {"reason": "", "message": text}
            raise ApiError(status, told.get("reason", ""), told.get("message", text))
        return json.loads(text) if text.startswith(("{", "[")) else text

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str]:
        """Over the connection that is there; where the server has closed it meanwhile, over a new one."""
        where = urlsplit(self.server)
        while True:
            fresh = self._connection is None
            connection = self._connection or http.client.HTTPSConnection(
                where.hostname or "", where.port or 443, timeout=10, context=self._tls
            )
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._connection = None
                if fresh:
                    said = f'{method.title()} "{self.server}{path}": {_in_go(error, where.netloc)}'
                    raise ApiError(0, "", said) from error
            else:
                self._connection = connection
                return answer.status, text

    def find(self, path: str) -> Object | None:
        try:
            found: Object = self.call("GET", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def list(self, path: str) -> list[Object]:
        found: list[Object] = (self.find(path) or {}).get("items", [])
        return found

    def put(self, folder: str, body: Object) -> Object:
        """Creates, or replaces what is there; of a service that is there the server says that its address is taken, as kubeadm knows."""
        name = body["metadata"]["name"]
        try:
            made: Object = self.call("POST", folder, body)
        except ApiError as error:
            if error.code != 409 and "provided IP is already allocated" not in str(error):
                raise
            made = self.call("PUT", f"{folder}/{name}", body)
        return made

    def merge(self, path: str, part: Object) -> Object:
        changed: Object = self.call("PATCH", path, part, "application/merge-patch+json")
        return changed

    def delete(self, path: str) -> None:
        try:
            self.call("DELETE", path)
        except ApiError as error:
            if error.code != 404:
                raise


def _in_go(error: Exception, at: str) -> str:
    """The error as Go's net and crypto/tls word it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        late = "expired" in error.verify_message or "not yet valid" in error.verify_message
        said = "certificate has expired or is not yet valid" if late else "certificate signed by unknown authority"
        return f"tls: failed to verify certificate: x509: {said}"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return f"dial tcp {at}: connect: {error.strerror.lower()}"
    return f"dial tcp {at}: {error}"


def _of(table: Object, name: str) -> bytes:
    if f"{name}-data" in table:
        return base64.b64decode(table[f"{name}-data"])
    return Path(table[name]).read_bytes() if name in table else b""
