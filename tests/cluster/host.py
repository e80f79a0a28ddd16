"""A node in namespaces of its own, alive for as long as a test wants it: commands run in it, its files are at hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster import tree
from tests.lab import busybox, containerds, kubectl

TOP = Path(__file__).parents[2]
UNSHARE = ("unshare", "-m", "-n", "-u", "-p", "-f", "--kill-child", "--mount-proc")
CONTAINERD, RUNC = "sid", "bookworm"  # sid's runc wants a newer C library than older hosts have
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "PYTHONPATH": str(TOP / "src"),
}
SEED, SEEDS_ROUTER = "10.254.192.244/24", "10.254.192.1"  # the field report's network
ADMIN = "/etc/kubernetes/admin.conf"


class Programs(NamedTuple):
    """Folders that node.sh makes a node of."""

    standins: Path
    containerd: Path
    kubectl: Path


def programs(folder: Path) -> Programs:
    """Raises Unavailable where Debian's packages cannot be had."""
    trees = containerds.fetch()
    found = Programs(folder, trees[CONTAINERD], kubectl.fetch())
    runc = next(path for path in trees[RUNC].glob("usr/*bin/runc") if not path.is_symlink())
    tree.make(folder, found.containerd, runc, busybox.fetch())
    return found


class Host:
    """address: with its prefix length. router: the other end of the node's network, its default gateway."""

    def __init__(self, found: Programs, address: str = "10.1.0.5/24", router: str = "10.1.0.1") -> None:
        self._others: list[subprocess.Popen[bytes]] = []
        words = (*UNSHARE, str(TOP / "tests/cluster/node.sh"), *map(str, found), address, router)
        self._begun = subprocess.Popen((*words, "sh", "-c", "echo ready; sleep 1000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, text=True, cwd="/")  # fmt: skip
        assert self._begun.stdout
        assert self._begun.stderr
        if self._begun.stdout.readline() != "ready\n":
            raise RuntimeError(self._begun.stderr.read())
        children = Path(f"/proc/{self._begun.pid}/task/{self._begun.pid}/children").read_text()
        self.pid = int(children.split()[0])
        self.sh("systemctl start containerd.service")

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._begun.wait()
        for other in self._others:
            other.wait()
        for pipe in (self._begun.stdout, self._begun.stderr):
            assert pipe
            pipe.close()

    def path(self, path: str) -> Path:
        """A file of the node, where this process sees it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def text(self, path: str) -> str:
        return self.path(path).read_text()

    def write(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def start(self, *argv: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        inside = ("nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-p", "--", *argv)
        return subprocess.Popen(inside, env={**ENVIRONMENT, **(environment or {})}, cwd="/", stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def background(self, *argv: str) -> None:
        """Runs until the node ends."""
        inside = ("nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-p", "--", *argv)
        null = subprocess.DEVNULL
        self._others.append(subprocess.Popen(inside, env=ENVIRONMENT, cwd="/", stdin=null, stdout=null, stderr=null))

    def run(self, *argv: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, environment=environment)
        try:
            out, err = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Ends what was started, not nsenter before it, as `kill -9` does; what it started itself goes on."""
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()

    def sh(self, text: str) -> str:
        """What a command line prints; it must succeed."""
        done = self.run("sh", "-ec", text)
        assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        """What the real kubectl shows as JSON."""
        return json.loads(self.sh(f"kubectl --kubeconfig {ADMIN} get {' '.join(words)} -o json"))

    def fail(self, name: str, text: str) -> None:
        """A failure on demand of the stand-ins."""
        self.write(f"/var/lib/standin/fail/{name}", text)

    def mend(self, name: str) -> None:
        self.path(f"/var/lib/standin/fail/{name}").unlink(missing_ok=True)

    def put(self, name: str, value: str) -> None:
        """A property of the stand-ins, such as how long they wait."""
        self.write(f"/var/lib/standin/set/{name}", value)

    def calls(self, program: str = "") -> list[str]:
        try:
            lines = self.text("/var/lib/standin/calls").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.startswith(program)]

    def caasctl(self, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "caasctl", *words, environment=environment)

    def until(self, text: str, seconds: float = 60) -> None:
        """Waits for a command line to succeed."""
        deadline = time.monotonic() + seconds
        while self.run("sh", "-ec", text).returncode:
            assert time.monotonic() < deadline, text
            time.sleep(0.1)


def arrived(host: Host) -> dict[str, str]:
    """Where the ranges arrived: kubeadm's ranges, the controller manager's arguments, Cilium's pool, the node's share."""
    manifests = host.text("/etc/kubernetes/manifests/kube-controller-manager.yaml") + host.text(
        "/etc/kubernetes/manifests/kube-apiserver.yaml"
    )
    found = dict(line.strip(" -").partition("=")[::2] for line in manifests.splitlines() if "=" in line)
    config = host.get("configmap", "cilium-config", "-n", "kube-system")["data"]
    (node,) = host.get("nodes")["items"]
    return {**found, **config, "node": ",".join(node["spec"]["podCIDRs"])}
