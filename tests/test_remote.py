"""A download from a real HTTPS server on 127.0.0.1, in a process of its own that trusts its authority: whole, broken off, led elsewhere."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.lab import kata
from tests.standins.api_server import Authority

TOP = Path(__file__).parents[1]
DATA = os.urandom(3 << 20)
FETCH = """
import sys
from caasctl.model import CaasError
from caasctl.remote import download
import hashlib
told, found = [], hashlib.sha256()
try:
    for block in download(sys.argv[1], told.append):
        found.update(block)
    print(found.hexdigest(), told[-1])
except CaasError as error:
    print(error.problem, "|", error.cause, "|", error.fix)
"""


class Mirror(BaseHTTPRequestHandler):
    """/file: whole. /moved: elsewhere on this server. /away: on another. /plain: to a place without TLS. /short: it ends too early."""

    def do_GET(self) -> None:
        if self.path in ("/file", "/short", "/kata-go-static-4.1.0-amd64.tar.xz"):
            data = self.server.tarball if self.path.endswith(".xz") else DATA  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if self.path == "/short" else data)
        elif self.path in ("/moved", "/away", "/plain"):
            to = {"/moved": "/file", "/plain": "http://127.0.0.1:1/file?token=x", "/away": self.server.elsewhere}  # type: ignore[attr-defined]
            self.send_response(302)
            self.send_header("Location", to[self.path])
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with serving(tmp_path_factory.mktemp("mirror")) as found:
        yield found


@contextmanager
def serving(folder: Path, elsewhere: str = "") -> Iterator[tuple[str, Path]]:
    """The address of a mirror, and the certificate of its own authority."""
    ca = Authority.make(folder / "ca")
    certificate, key = ca.issue("mirror", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.tarball = kata.PACKS["xz"](kata.tar(kata.release()))  # type: ignore[attr-defined]
    server.elsewhere = elsewhere  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", folder / "ca/ca.crt"
    server.shutdown()
    server.server_close()


def run(script: str, ca: Path, *words: str, **more: str) -> str:
    environment = {"PYTHONPATH": f"{TOP}:{TOP / 'src'}", "PATH": os.environ["PATH"], "SSL_CERT_FILE": str(ca), **more}
    done = subprocess.run(
        (sys.executable, "-c", script, *words), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", ["/file", "/moved"])
def test_a_file_comes_whole_and_is_told(mirror: tuple[str, Path], path: str) -> None:
    url, ca = mirror
    assert run(FETCH, ca, url + path) == f"{hashlib.sha256(DATA).hexdigest()} downloading: 100 % of 3 MiB\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/short", "the connection broke off after 1 of 3 MiB"),
        ("/none", "HTTP Error 404: Not Found"),
        ("/plain", "it leads on to http://127.0.0.1:1/file, which is not https"),
    ],
)
def test_what_does_not_come_is_said_with_the_way_on(mirror: tuple[str, Path], path: str, words: str) -> None:
    url, ca = mirror
    said = run(FETCH, ca, url + path)
    assert f"{url}{path} could not be fetched | {words}" in said
    assert "HTTPS_PROXY" in said
    assert f"fetch {path[1:]} on another machine" in said


def test_a_server_that_nobody_vouches_for_and_one_that_is_not_there(mirror: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = mirror
    (tmp_path / "none.pem").write_text("")
    assert "certificate" in run(FETCH, tmp_path / "none.pem", f"{url}/file")
    assert "connection refused" in run(FETCH, tmp_path / "none.pem", "https://127.0.0.1:1/file")
    assert "does not resolve" in run(FETCH, tmp_path / "none.pem", "https://mirror.invalid/file")


def test_the_proxy_of_the_environment_is_asked(mirror: tuple[str, Path]) -> None:
    _, ca = mirror
    assert "connection refused" in run(FETCH, ca, "https://mirror.invalid/file", HTTPS_PROXY="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("place", "around", "direct"),
    [
        ("mirror.invalid", "*.invalid", True),
        ("mirror.invalid", "a.example, .invalid", True),
        ("mirror.invalid:5000", "mirror.invalid:5000", True),
        ("mirror.invalid", "mirror.invalid:5000", False),
        ("0.0.0.0:{}", "0.0.0.0/8", True),  # on Linux the way to this machine that is no loopback address
        ("0.0.0.0:{}", "192.0.2.0/24", False),
        ("127.0.0.1:{}", "", True),
    ],
)
def test_what_is_reached_without_the_proxy(mirror: tuple[str, Path], place: str, around: str, *, direct: bool) -> None:
    """As containerd and helm reach it."""
    url = f"https://{place.format(mirror[0].rpartition(':')[2])}/file"
    for script, upper in ((FETCH, True), (ASK, False)):
        told = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": around}
        told = told if upper else {name.lower(): value for name, value in told.items()}
        said = run(script, mirror[1], url, "", **told)
        assert ("connection refused" in said) != direct, said


def test_the_proxies_of_a_profile_leave_out_its_ranges(mirror: tuple[str, Path]) -> None:
    url = f"https://0.0.0.0:{mirror[0].rpartition(':')[2]}/file"
    for around, more in (("0.0.0.0/8", {}), ("0.0.0.0/8", {"NO_PROXY": "a.example"}), ("10.0.0.0/8", {})):
        said = run(THROUGH.replace("AROUND", around) + textwrap.indent(ASK, "    "), mirror[1], url, "", **more)
        assert ("connection refused" in said) == (around != "0.0.0.0/8"), said


THROUGH = """
from caasctl.host.processes import through
from caasctl.profile_packages import ProxySpec
with through(ProxySpec(https="http://127.0.0.1:1", noProxy=("AROUND",))):
"""
ASK = """
import sys
from pathlib import Path
from caasctl import remote
try:
    with remote.asked(sys.argv[1], {}, ca=Path(sys.argv[2]).read_text() if sys.argv[2] else "") as reply:
        print(reply.status, sum(map(len, reply.blocks)))
except OSError as error:
    print(remote.words(error))
"""


def test_the_ca_of_a_mirror_is_taken_beside_the_systems(mirror: tuple[str, Path], tmp_path: Path) -> None:
    """It leads to storage with a public certificate, as registries do with what is large."""
    public, systems = mirror
    with serving(tmp_path / "own", f"{public}/file") as (url, own):
        assert run(ASK, systems, f"{url}/away", str(own)) == f"200 {len(DATA)}\n"
        assert run(ASK, systems, f"{public}/file", str(own)) == f"200 {len(DATA)}\n"
        assert "certificate" in run(ASK, systems, f"{url}/file", "")
        assert "signed by no CA that this machine or the profile knows" in run(ASK, own, f"{url}/away", "")


INSTALL = """
import os, sys
from caasctl.host import LiveHost
from caasctl.model import CaasError
from caasctl.resources.kata.installation import Installation, Needed
host = LiveHost(sys.argv[3])
tree = Installation("/opt/kata", sys.argv[1] + "/kata-go-static-4.1.0-amd64.tar.xz", sys.argv[2], Needed("amd64", (2, 36), ("kata-qemu",)))
try:
    print(tree.apply(host, tree.look(host)), host.read("/opt/kata/VERSION"))
except CaasError as error:
    print(error.problem)
print(host.list("/var/lib/caasctl/downloads"), host.list("/opt"))
"""


def test_a_tree_is_fetched_and_the_download_goes_whether_or_not_it_is_the_right_one(
    mirror: tuple[str, Path], tmp_path: Path
) -> None:
    url, ca = mirror
    digest = hashlib.sha256(kata.PACKS["xz"](kata.tar(kata.release()))).hexdigest()
    wrong = run(INSTALL, ca, url, "0" * 64, str(tmp_path))
    assert "is not the file that the profile means" in wrong
    assert wrong.splitlines()[-1] == "() None"
    right = run(INSTALL, ca, url, digest, str(tmp_path))
    assert right.startswith("Done() 4.1.0")
    assert right.splitlines()[-1] == f"() ('kata', 'kata-4.1.0-{digest[:12]}')"
