"""What a cluster publishes for nodes that join it: the ConfigMap cluster-info, and its signature by a token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import UsageError
from caasctl.syntax.join import kubeconfig as config_file
from caasctl.syntax.join.kubeconfig import Access

PATH = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
WHAT = "the kubeconfig in cluster-info"


@dataclass(frozen=True)
class ClusterInfo:
    """kubeconfig: the text as it was signed. signatures: token id -> detached JWS. access: what the kubeconfig says."""

    kubeconfig: str
    signatures: Mapping[str, str]
    access: Access


def parse(text: str) -> ClusterInfo:
    """The ConfigMap as the API server gives it. Raises UsageError with what is wrong."""
    try:
        data = formats.parse_json(text, "cluster-info")
    except formats.FormatError as error:
        raise _wrong("it is no JSON") from error
    data = data.get("data") if isinstance(data, Mapping) else None
    config = data.get("kubeconfig") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(config, str) or not config:
        raise _wrong("it holds no kubeconfig")
    prefix = "jws-kubeconfig-"
    signatures = {
        str(key).removeprefix(prefix): str(value) for key, value in data.items() if str(key).startswith(prefix)
    }
    return ClusterInfo(config, signatures, config_file.parse(config, WHAT))


def signature(token: str, signed: str) -> str:
    """The detached JWS (HS256) that Kubernetes' bootstrap signer makes of a text by a token ID.SECRET."""
    name, _, secret = token.partition(".")
    head = _base64(json.dumps({"alg": "HS256", "kid": name}, separators=(",", ":")).encode())
    made = hmac.digest(secret.encode(), f"{head}.{_base64(signed.encode())}".encode(), hashlib.sha256)
    return f"{head}..{_base64(made)}"


def signed_by(info: ClusterInfo, token: str) -> bool | None:
    """Whether the token signed it; None where no token of that id did."""
    found = info.signatures.get(token.partition(".")[0])
    return hmac.compare_digest(found.encode(), signature(token, info.kubeconfig).encode()) if found else None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _wrong(said: str) -> UsageError:
    return UsageError(f"cluster-info cannot be used: {said}")
