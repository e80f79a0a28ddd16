"""No secret that a run uses is where others can read it: command lines, files, reports and messages of whole runs are searched."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.cluster.conftest import NewHost
from tests.cluster.host import ADMIN, Host

from caasctl.syntax.join.kubeconfig import hashes

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]")
FORMATS = ("text", "json", "yaml", "junit", "html")
PROXY_PASSWORD, REGISTRY_PASSWORD, CHART_PASSWORD = "pr0xy-pAssw0rd", "reg1stry-pAssw0rd", "ch4rt-pAssw0rd"
DROP_IN = "/etc/systemd/system/containerd.service.d/proxy.conf"
PROXY = f"http://me:{PROXY_PASSWORD}@10.1.0.1:3128"
PROXIES = {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}
PROFILE, PROFILE_TEXT = (
    "/root/profile.yaml",
    f"""\
apiVersion: caasctl.io/v1alpha1
kind: NodeProfile
metadata: {{name: mine}}
extends: single-node
spec:
  runtimes: [runc]
  cilium: {{values: {{podAnnotations: {{password: {CHART_PASSWORD}}}}}}}
""",
)
PLACES = (
    "etc",
    "root/.kube",
    "root/out",
    "run",
    "var/lib/caasctl",
    "var/lib/kubelet",
    "var/log/pods",
)  # and /tmp/caasctl*
THEIRS = (
    DROP_IN,
    "/etc/containerd/conf.d/mine.toml",
    "/run/netns",
    "/run/cilium/cgroupv2",
)  # the last: the kernel's own, some of it for no reader


class Watch(threading.Thread):
    """The command lines of all processes of a node while a run is under way, and who may read their environments."""

    def __init__(self, host: Host) -> None:
        super().__init__(daemon=True)
        self._mounts, self.over = os.readlink(f"/proc/{host.pid}/ns/mnt"), threading.Event()
        self.lines: set[str] = set()
        self.readable: set[str] = set()

    def run(self) -> None:
        while not self.over.wait(0.005):
            for process in filter(str.isdigit, os.listdir("/proc")):
                self._look(f"/proc/{process}")

    def _look(self, process: str) -> None:
        try:
            if os.readlink(f"{process}/ns/mnt") == self._mounts:
                line = Path(f"{process}/cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
                self.lines.add(line)
                if os.stat(f"{process}/environ").st_mode & 0o077:
                    self.readable.add(line)
        except OSError:  # it has ended
            pass


@contextmanager
def watched(host: Host) -> Iterator[Watch]:
    watch = Watch(host)
    watch.start()
    try:
        yield watch
    finally:
        watch.over.set()
        watch.join()


def keys(host: Host) -> dict[str, str]:
    """The secrets that a cluster has got: name -> what no other may read."""
    encryption = yaml.safe_load(host.text("/etc/kubernetes/caasctl/encryption.yaml"))
    found = {"encryption": encryption["resources"][0]["providers"][0]["secretbox"]["keys"][0]["secret"]}
    for path in host.path("/etc/kubernetes").glob("*.conf"):
        user = yaml.safe_load(path.read_text())["users"][0]["user"]
        if "client-key-data" in user:
            found[path.name] = user["client-key-data"][100:160]
    for path in host.path("/etc/kubernetes/pki").rglob("*.key"):
        found[path.name] = path.read_text().splitlines()[2]
    return {**found, **{f"token {ident}": half for ident, half in tokens(host)}}


def tokens(host: Host) -> list[tuple[str, str]]:
    """The cluster's bootstrap tokens, both halves of each."""
    listed = host.get("secrets", "-n", "kube-system")["items"]
    datas = [each["data"] for each in listed if each["metadata"]["name"].startswith("bootstrap-token-")]
    return [
        (base64.b64decode(data["token-id"]).decode(), base64.b64decode(data["token-secret"]).decode()) for data in datas
    ]


def leaked(host: Host, secrets: dict[str, str], said: str, watch: Watch | None = None) -> list[str]:
    """Where a secret is that it should not be, in words."""
    found = [f"{name} was said" for name, secret in secrets.items() if secret in said]
    lines = "\n".join(watch.lines) if watch else ""
    found += [f"{name} was in a command line" for name, secret in secrets.items() if secret in lines]
    found += [f"environment of {line}" for line in (watch.readable if watch else ())]
    for path, text in left(host):
        mode = path.stat()
        if mode.st_mode & 0o077 or mode.st_uid:
            found += [f"{name} is in {path}" for name, secret in secrets.items() if secret in text]
    ours = [*host.path("/var/lib/caasctl").rglob("*.json"), host.path("/run/caasctl/lock")]
    texts = [path.read_text() for path in ours if path.exists()]
    return found + [f"{name} is in the record" for name, secret in secrets.items() if any(secret in t for t in texts)]


def left(host: Host) -> Iterator[tuple[Path, str]]:
    """Every file of a node where a run may have left something."""
    top = host.path("/")
    for folder, _, names in (
        walk for place in (*map(top.joinpath, PLACES), *top.glob("tmp/*caasctl*")) for walk in os.walk(place)
    ):
        for name in names:
            path = Path(folder, name)
            if not f"/{path.relative_to(top)}".startswith(THEIRS) and stat.S_ISREG(path.lstat().st_mode):
                yield path, path.read_bytes().decode("utf-8", "replace")


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def plant(host: Host) -> dict[str, str]:
    """Secrets of the administrator's, that caasctl meets."""
    host.write(DROP_IN, f'[Service]\nEnvironment="HTTPS_PROXY={PROXY}" "NO_PROXY=10.0.0.0/8,.svc,.cluster.local"\n')
    host.write("/etc/containerd/conf.d/mine.toml", "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry.configs.'r.example'.auth]\n"
               f"username = 'me'\npassword = '{REGISTRY_PASSWORD}'\n")  # fmt: skip
    host.write("/etc/containerd/config.toml", "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n")
    host.write(PROFILE, PROFILE_TEXT)
    host.path(PROFILE).chmod(0o600)
    return {"proxy": PROXY_PASSWORD, "registry": REGISTRY_PASSWORD, "chart": CHART_PASSWORD}


def test_a_run_from_nothing_leaves_no_secret_to_others(host: Host) -> None:
    planted = plant(host)
    heard = "".join(
        said(host.caasctl("init-node", "--dry-run", "-v", "-p", PROFILE, "-o", each, environment=PROXIES))
        for each in ("text", "json")
    )
    assert leaked(host, planted, heard) == []
    with watched(host) as watch:
        done = host.caasctl("init-node", "--yes", "-v", "-p", PROFILE, "-o", "json", environment=PROXIES)
    assert done.returncode == 0, said(done)
    secrets = {**planted, **keys(host)}
    assert len(secrets) > 8
    assert any("kubeadm init" in line for line in watch.lines)
    assert any("helm upgrade" in line for line in watch.lines)
    heard = said(done)
    host.sh("mkdir /root/out")
    for each in FORMATS:
        heard += said(host.caasctl("preflight", "-v", "-p", PROFILE, "-o", each, environment=PROXIES))
    heard += said(host.caasctl("facts", "-o", "yaml"))
    heard += said(host.caasctl("undo", "--list"))
    rendered = host.caasctl("render", "-p", PROFILE, "--out", "/root/out/rendered")
    recorded = host.caasctl("facts", "--record", "/root/out/recorded")
    assert (rendered.returncode, recorded.returncode) == (0, 0), said(rendered) + said(recorded)
    assert leaked(host, secrets, heard + said(rendered) + said(recorded), watch) == []
    assert host.path("/root/out/rendered/etc/kubernetes/caasctl/cilium-values.yaml").stat().st_mode & 0o777 == 0o600
    assert not host.path("/root/out/rendered/etc/kubernetes/caasctl/encryption.yaml").exists()
    texts = b"".join(path.read_bytes() for path in host.path("/root/out/recorded").rglob("*") if path.is_file())
    assert [name for name, secret in secrets.items() if secret.encode() in texts] == []
    assert host.path("/root/out/recorded").stat().st_mode & 0o777 == 0o700


def test_a_failed_init_repeats_no_secret_that_kubeadm_said(host: Host) -> None:
    ident, half, key = "abcdef", "5ome0f0ursecrets", "c0ffee" * 10 + "beef"
    host.fail(
        "kubeadm-fail",
        f"addon cannot: kubeadm join 10.1.0.5:6443 --token {ident}.{half} --certificate-key {key} {PROXY}",
    )
    for each in ("text", "json"):  # the second goes on where the first failed
        done = host.caasctl("init-node", "--yes", *SET, "-o", each, "--skip-phases", "cilium", environment=PROXIES)
        assert done.returncode == 3, said(done)
        assert "--certificate-key (hidden)" in " ".join(said(done).split())
        assert leaked(host, {"token": half, "key": key, "proxy": PROXY_PASSWORD, **keys(host)}, said(done)) == []


def linked(control: Host, worker: Host) -> None:
    """A cable between two nodes."""
    words = (
        "nsenter",
        "-t",
        str(control.pid),
        "-n",
        "ip",
        "link",
        "add",
        "cable",
        "type",
        "veth",
        "peer",
        "name",
        "cable",
        "netns",
    )
    subprocess.run((*words, str(worker.pid)), check=True)
    control.sh(
        "ip addr add 10.3.0.1/30 dev cable; ip link set cable up; ip route add 10.2.0.5 via 10.3.0.2 src 10.1.0.5"
    )
    worker.sh(
        "ip addr add 10.3.0.2/30 dev cable; ip link set cable up; ip route add 10.1.0.5 via 10.3.0.1 src 10.2.0.5"
    )
    worker.sh(
        "hostname node2; echo node2 | tee /etc/hostname >/proc/sys/kernel/hostname; echo 10.2.0.5 node2 >>/etc/hosts"
    )


def test_a_node_that_joins_leaves_no_secret_to_others(new_host: NewHost) -> None:
    control, worker = new_host(), new_host("10.2.0.5/24", "10.2.0.1")
    linked(control, worker)
    done = control.caasctl("init-node", "--yes", *SET, "--skip-phases", "cilium")
    assert done.returncode == 0, said(done)
    ((ident, half),) = tokens(control)
    digest = hashes(control.text("/etc/kubernetes/pki/ca.crt"))[0]
    worker.write(
        "/root/token", f"kubeadm join 10.1.0.5:6443 --token {ident}.{half} --discovery-token-ca-cert-hash {digest}"
    )
    worker.path("/root/token").chmod(0o600)
    words = ("join-node", "--yes", *SET, "--token-file", "/root/token")
    secrets = {"token": half}
    worker.fail("kubeadm-fail", f"kubelet-start the token {ident}.{half} is refused, its secret being {half}")
    with watched(worker) as watch:
        failed = worker.caasctl(*words)
    assert failed.returncode == 3, said(failed)
    assert "its secret being (hidden)" in " ".join(said(failed).split())
    assert any("kubeadm join" in line for line in watch.lines)
    assert leaked(worker, secrets, said(failed), watch) == []
    worker.mend("kubeadm-fail")
    worker.sh("kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock")
    with watched(worker) as watch:
        joined = worker.caasctl(*words, "-v", "-o", "json")
    assert joined.returncode == 0, said(joined)
    assert "node2" in control.sh(f"kubectl --kubeconfig {ADMIN} get nodes")
    assert leaked(worker, secrets, said(joined), watch) == []
    assert not worker.path("/run/caasctl/stage/kubeadm").exists()
    again = said(worker.caasctl(*words, "-v"))
    assert leaked(worker, secrets, again) == []


def test_a_setting_that_is_a_secret_is_not_repeated(host: Host) -> None:
    setting = f"spec.cilium.values.podAnnotations.password={CHART_PASSWORD}"
    for each in ("text", "yaml"):
        done = host.caasctl("init-node", "--dry-run", *SET, "--set", setting, "-o", each)
        assert re.search(r"password=\(hidden\)", done.stdout), said(done)
        assert CHART_PASSWORD not in said(done)


def test_what_holds_a_secret_is_root_s_alone_whatever_the_caller_s_umask(host: Host) -> None:
    for umask in ("000", "077"):
        command = f"umask {umask}; exec {sys.executable} -m caasctl init-node --yes --set runtimes=[runc] --skip-phases cilium"
        done = host.run("sh", "-c", command)
        assert done.returncode == 0, said(done)
        modes = {
            path: host.path(path).stat().st_mode & 0o777 for path in ("/etc/kubernetes/caasctl", "/etc/containerd")
        }
        assert modes == dict.fromkeys(modes, 0o755)
        assert host.path("/etc/kubernetes/caasctl/encryption.yaml").stat().st_mode & 0o777 == 0o600
        open_to_all = host.sh(
            "find /etc/kubernetes /etc/containerd /var/lib/caasctl /var/lib/kubelet -perm /022 ! -type l"
        )
        assert open_to_all == ""
        assert (
            host.path("/run/caasctl").stat().st_mode & 0o777 == 0o700
        )  # kubectl's cache below it is as kubectl makes it
        for kind in ("runs", "stage"):
            folder = {"runs": "/var/lib/caasctl/runs", "stage": "/run/caasctl/stage"}[kind]
            assert not host.path(folder).exists() or host.path(folder).stat().st_mode & 0o777 == 0o700
        host.caasctl("undo", "--yes")
