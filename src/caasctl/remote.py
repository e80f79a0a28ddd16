"""What other machines answer: an API server to one anonymous GET, a mirror to a download. The only home of ssl, http and socket."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from enum import Enum
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from caasctl.frozen import dataclass
from caasctl.host.processes import around
from caasctl.model import CaasError
from caasctl.syntax.no_proxy import goes_direct

if TYPE_CHECKING:
    import http.client
    import ssl
    import urllib.request

MAX_BYTES = 1 << 20  # a ConfigMap's own limit
_STEP_S = 5.0  # of the deadline, for one connect or one read
_PATIENCE_S = 60.0  # of a download, for one read
_BLOCK = 1 << 20


class Trouble(str, Enum):
    """Why there is no answer."""

    NAME = "its name does not resolve"
    REFUSED = "connection refused"
    NO_ROUTE = "no route to it"
    SILENT = "no answer in time"
    CLOSED = "it closes the connection"
    NOT_TLS = "it speaks no TLS"
    NOT_HTTP = "it speaks no HTTP"
    EXPIRED = "its certificate has expired"
    NOT_YET = "its certificate is not yet valid"
    OTHER_NAME = "its certificate is for other names"
    OTHER_CA = "its certificate is not of the cluster's CA"
    OTHER = "it cannot be asked"

    @property
    def of_certificate(self) -> bool:
        return self in (Trouble.EXPIRED, Trouble.NOT_YET, Trouble.OTHER_NAME, Trouble.OTHER_CA)


# X509_V_ERR_* of OpenSSL's x509_vfy.h; every other code is about the chain to the CA.
_VERIFY = {9: Trouble.NOT_YET, 10: Trouble.EXPIRED, 62: Trouble.OTHER_NAME, 64: Trouble.OTHER_NAME}
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)


@dataclass(frozen=True)
class Answer:
    """address: HOST:PORT. trouble: why there is no answer, None where there is one. said: the error's own words.

    status: of HTTP, 0 without an answer. skew_s: the server's clock minus ours, None where it did not say. certificate:
    PEM that the server showed, "" where it is not known.
    """

    address: str
    trouble: Trouble | None = None
    said: str = ""
    status: int = 0
    skew_s: int | None = None
    certificate: str = field(default="", repr=False)
    body: str = field(default="", repr=False)


def get(host: str, port: int, path: str, *, ca: str = "", timeout_s: float = 10.0) -> Answer:
    """One GET without credentials and without a proxy. ca: PEM to verify the server by; without it nothing is verified.

    Never takes longer than timeout_s, also where a name server is silent or an answer comes byte by byte.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    answers: SimpleQueue[Answer] = SimpleQueue()
    until = time.monotonic() + timeout_s

    def ask() -> None:
        answers.put(_outcome(address, lambda: _get(address, host, port, path, ca, until)))

    Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except Empty:
        return Answer(address, Trouble.SILENT, f"no answer in {timeout_s:.0f} s")


def _get(address: str, host: str, port: int, path: str, ca: str, until: float) -> Answer:
    import http.client  # noqa: PLC0415 - 25 ms with ssl, only where a cluster is joined
    import ssl  # noqa: PLC0415

    connection = http.client.HTTPSConnection(host, port, timeout=_left(until), context=_context(ca))
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True)
        certificate = ssl.DER_cert_to_PEM_cert(shown) if shown else ""
        connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "caasctl"})
        asked = time.time()
        response = connection.getresponse()
        skew = _skew(response.getheader("Date"), asked)
        return Answer(address, None, "", response.status, skew, certificate, _body(response, until))
    finally:
        connection.close()


def _left(until: float) -> float:
    return max(0.1, min(_STEP_S, until - time.monotonic()))


def _context(ca: str) -> ssl.SSLContext:
    """As Go verifies: by the CA that is given and no other, a CA in the middle counts as a root, and names are not in the CN."""
    import ssl  # noqa: PLC0415 - as above

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.hostname_checks_common_name = False
        context.load_verify_locations(cadata=ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _body(response: http.client.HTTPResponse, until: float) -> str:
    import http.client  # noqa: PLC0415 - as above

    data = bytearray()
    while block := response.read1(1 << 16):
        data += block
        if len(data) > MAX_BYTES or time.monotonic() > until:
            raise http.client.IncompleteRead(bytes(data[:100]))
    return data.decode("utf-8", "replace")


def _skew(date: str | None, asked: float) -> int | None:
    """Whole seconds between the server's Date and our time; what is below two is the header's own coarseness."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - as above

    try:
        skew = parsedate_to_datetime(date or "").timestamp() - (asked + time.time()) / 2
    except (TypeError, ValueError, OverflowError):
        return None
    return round(skew) if abs(skew) >= 2 else 0  # noqa: PLR2004 - seconds


def _outcome(address: str, ask: Callable[[], Answer]) -> Answer:
    """The answer, or why there is none."""
    import http.client  # noqa: PLC0415 - as above

    try:
        return ask()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(address, _trouble(error), _words(error))


def _trouble(error: Exception) -> Trouble:
    """The first kind that fits, since some are a kind of others."""
    import http.client  # noqa: PLC0415 - as above
    import socket  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, Trouble.OTHER_CA)
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return Trouble.NO_ROUTE
    kinds: tuple[tuple[tuple[type[Exception], ...], Trouble], ...] = (
        ((ssl.SSLEOFError, ConnectionResetError, BrokenPipeError, http.client.IncompleteRead), Trouble.CLOSED),
        ((ssl.SSLError,), Trouble.NOT_TLS),
        ((http.client.HTTPException,), Trouble.NOT_HTTP),
        ((socket.gaierror,), Trouble.NAME),
        ((TimeoutError,), Trouble.SILENT),
        ((ConnectionRefusedError,), Trouble.REFUSED),
    )
    return next((trouble for kind, trouble in kinds if isinstance(error, kind)), Trouble.OTHER)


def _words(error: Exception) -> str:
    """The error's own words; of a certificate's, OpenSSL's."""
    said = getattr(error, "verify_message", "") or (isinstance(error, OSError) and error.strerror)
    return str(said or type(error).__name__)


def download(url: str, say: Callable[[str], None], setting: str = "spec.kata.source") -> Iterator[bytes]:
    """What is at an https address, block by block, through the proxies of the environment. Raises CaasError.

    setting: the key of the profile that may name a path instead.
    """
    from urllib import request  # noqa: PLC0415 - 30 ms, only where something is fetched

    asked = request.Request(url, headers={"User-Agent": "caasctl"})  # noqa: S310 - the profile allows https only
    try:
        with _opener().open(asked, timeout=_PATIENCE_S) as answer:
            yield from _told(answer, int(answer.headers.get("Content-Length") or 0), say)
    except (OSError, ValueError) as error:
        under = getattr(error, "reason", None)  # of URLError
        raise _not_fetched(url, under if isinstance(under, Exception) else error, setting) from error


def _opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Through the proxies of the environment, but for what its NO_PROXY names: urllib's own look knows no ranges. Led on, as
    releases and images are served from elsewhere, but not to a place without TLS.
    """
    from urllib import request  # noqa: PLC0415 - as above

    class Proxies(request.ProxyHandler):
        def proxy_open(self, req, proxy, type):  # type: ignore[no-untyped-def]  # noqa: A002, ANN001, ANN202 - urllib's names
            return None if goes_direct(req.full_url, around()) else super().proxy_open(req, proxy, type)

    class Onwards(request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if req.full_url.startswith("https://") and not newurl.startswith("https://"):
                raise ValueError(f"it leads on to {newurl.partition('?')[0]}, which is not https")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return request.build_opener(Proxies, Onwards, *handlers)


@dataclass(frozen=True)
class Reply:
    """headers: by names in lower case. blocks: of the body, to be taken while the reply is open."""

    status: int
    headers: Mapping[str, str]
    blocks: Iterator[bytes]


@contextmanager
def asked(url: str, headers: Mapping[str, str], *, ca: str = "") -> Iterator[Reply]:
    """One GET, of any status, through the proxies of the environment; led on, but not from https to http. ca: PEM, beside
    the system's. What is told as Authorization goes to the host of `url` alone. Raises OSError, ValueError.
    """
    import http.client  # noqa: PLC0415 - as above
    import ssl  # noqa: PLC0415
    from urllib import error, request  # noqa: PLC0415

    one = request.Request(url, headers={"User-Agent": "caasctl"})  # noqa: S310 - the profile allows no other schemes
    for name, value in headers.items():
        (one.add_unredirected_header if name == "Authorization" else one.add_header)(name, value)
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    try:
        answer = _opener(request.HTTPSHandler(context=context)).open(one, timeout=_PATIENCE_S)
    except error.HTTPError as refused:
        answer = refused
    except error.URLError as failed:
        raise failed.reason if isinstance(failed.reason, Exception) else failed from None
    with answer:
        try:
            told = {name.lower(): value for name, value in answer.headers.items()}
            yield Reply(answer.status, told, iter(lambda: answer.read(_BLOCK), b""))
        except http.client.HTTPException as broken:
            raise ConnectionError("the connection broke off") from broken


def words(error: Exception) -> str:
    """Why something could not be asked, in a clause."""
    known = _trouble(error)
    if known is Trouble.OTHER_CA:
        return "its certificate is signed by no CA that this machine or the profile knows"
    return known.value if known is not Trouble.OTHER else str(error) or known.value


def _told(answer: http.client.HTTPResponse, size: int, say: Callable[[str], None]) -> Iterator[bytes]:
    """The blocks, each told. Raises OSError where they end too early."""
    import http.client  # noqa: PLC0415 - as above

    done = 0
    try:
        while block := answer.read(_BLOCK):
            done += len(block)
            of = f"{100 * done // size} % of {size >> 20} MiB" if size else f"{done >> 20} MiB"
            say(f"downloading: {of}")
            yield block
    except http.client.HTTPException as error:
        raise ConnectionError(f"the connection broke off after {done >> 20} MiB") from error
    if done < size:
        raise ConnectionError(f"the connection broke off after {done >> 20} of {size >> 20} MiB")


def _not_fetched(url: str, error: Exception, setting: str) -> CaasError:
    known = (Trouble.NAME, Trouble.NO_ROUTE, Trouble.REFUSED, Trouble.SILENT)
    url = url.partition("?")[0]  # behind it there may be a signature
    trouble, name = _trouble(error), url.rpartition("/")[2]
    return CaasError(
        f"{url} could not be fetched",
        cause=trouble.value if trouble in known else str(error) or trouble.value,
        fix=f"behind a proxy, name it in spec.proxy.https, or start caasctl with HTTPS_PROXY set; or fetch {name} on another machine, copy it here and give its path as {setting}",
    )
