"""Static pods as processes: started from kubeadm's manifests, their words in /var/log/pods, alive without the kubelet.

Source: kubernetes/kubernetes pkg/kubelet (hostPath type checks, CrashLoopBackOff), pkg/kubelet/kuberuntime (folders and lines
of /var/log/pods).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from . import place

RUN = Path("/run/standin-pods")
LISTENS = {
    "etcd": ((2379, "listen-client-urls"), (2380, "listen-peer-urls"), (2381, "")),
    "kube-controller-manager": ((10257, "bind-address"),),
    "kube-scheduler": ((10259, "bind-address"),),
}
FILE_TYPES = {"File": os.path.isfile, "Directory": os.path.isdir, "Socket": os.path.exists}


def state(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((RUN / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def remember(name: str, **values: Any) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    (RUN / f"{name}.json").write_text(json.dumps({**state(name), **values}), encoding="utf-8")


def alive(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return pid > 0 and words.rpartition(")")[2].split()[0] != "Z"


def log_path(name: str, node: str, attempt: int) -> Path:
    uid = hashlib.sha256(f"{name}{node}".encode()).hexdigest()[:32]
    return Path(f"/var/log/pods/kube-system_{name}-{node}_{uid}/{name}/{attempt}.log")


def prepare(pod: dict[str, Any]) -> str:
    """What is wrong with the volumes of a static pod; "" where nothing is. DirectoryOrCreate and FileOrCreate make theirs."""
    for volume in pod["spec"].get("volumes", ()):
        source = volume["hostPath"]
        path, kind = source["path"], source.get("type") or ""
        if kind == "DirectoryOrCreate":
            os.makedirs(path, exist_ok=True)
        elif kind == "FileOrCreate" and not os.path.exists(path):
            Path(path).touch()
        elif kind in FILE_TYPES and not FILE_TYPES[kind](path):
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : hostPath type check failed: {path} is not a {kind.lower()}'
    return ""


def unseen(pod: dict[str, Any]) -> str:
    """A file that an argument names and that no volume shows to the container; "" where none."""
    container = pod["spec"]["containers"][0]
    mounts = {mount["mountPath"].rstrip("/"): mount for mount in container.get("volumeMounts", ())}
    hosts = {volume["name"]: volume["hostPath"]["path"] for volume in pod["spec"].get("volumes", ())}
    for word in container["command"][1:]:
        name, _, value = word.removeprefix("--").partition("=")
        if not value.startswith("/") or "," in value:
            continue
        above = [path for path in mounts if value == path or value.startswith(f"{path}/")]
        if not above:
            return f"open {value}: no such file or directory"
        mount = mounts[max(above, key=len)]
        if name == "audit-log-path" and mount.get("readOnly"):
            return f"ensureLogFile: open {value}: read-only file system"
        if hosts[mount["name"]] != max(above, key=len):
            return f"open {value}: no such file or directory (mounted from elsewhere: the stand-in shows every path at its own place)"
    return ""


def tend(folder: Path, node: str) -> None:
    """Starts what has a manifest and does not run, ends what has none."""
    named = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for name in [path.stem for path in RUN.glob("*.json")]:
        if name not in named:
            end(name)
    for name, path in named.items():
        text = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = state(name)
        if known.get("digest") not in (None, digest):
            end(name)
            known = {}
        if alive(known.get("pid", 0)) or time.time() < known.get("again", 0):
            continue
        start(name, yaml.safe_load(text), node, digest)


def start(name: str, pod: dict[str, Any], node: str, digest: str) -> None:
    attempt = state(name).get("attempt", -1) + 1
    log = log_path(name, node, attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    trouble = prepare(pod)
    if trouble:
        print(f'E0101 00:00:00.000000    1000 kubelet.go:1] "{trouble}" pod="kube-system/{name}-{node}"', flush=True)
        remember(name, digest=digest, pid=0, attempt=-1, again=time.time() + 1, trouble=trouble)
        return
    said = place.wanted_failure(name) or unseen(pod)
    command = pod["spec"]["containers"][0]["command"]
    pid = 0
    if said:
        write_log(log, said)
    else:
        pid = spawn(name, command, log)
    remember(
        name, digest=digest, pid=pid, attempt=attempt, again=time.time() + min(2**attempt, 5), log=str(log), trouble=""
    )
    if attempt and not pid:
        print(f'E0101 00:00:00.000000    1000 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
              f'\\"{name}\\" with CrashLoopBackOff: \\"back-off 10s restarting failed container={name}\\"" pod="kube-system/{name}-{node}"',
              flush=True)  # fmt: skip


def write_log(log: Path, text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
    with open(log, "a", encoding="utf-8") as file:
        file.writelines(f"{stamp} stderr F {line}\n" for line in text.splitlines())


def spawn(name: str, command: list[str], log: Path) -> int:
    """A container: a child of its own session whose words go to its log, line by line as the CRI writes them."""
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        deadline = time.monotonic() + 5
        while not (RUN / f"{name}.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        path = RUN / f"{name}.pid"
        pid = int(path.read_text(encoding="utf-8"))
        path.unlink()
        return pid
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        for number in range(3, 256):
            try:
                os.close(number)
            except OSError:
                continue
        for signals in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signals, signal.SIG_DFL)
        if name == "kube-apiserver":
            child = subprocess.Popen([sys.executable, str(place.PROGRAMS / name), *command[1:]], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
            pid = child.pid
            called(name, f"{name}.conmon")
            _tell(name, pid)
            for line in child.stdout or ():
                write_log(log, line)
            child.wait()
        else:
            called(name, name)
            _tell(name, os.getpid())
            serve(name, dict(_arguments(command[1:])))
    except BaseException as error:  # noqa: BLE001 - the words of a container that dies
        write_log(log, f"panic: {error}")
    os._exit(1)


def _tell(name: str, pid: int) -> None:
    new = RUN / f"{name}.pid.new"
    RUN.mkdir(parents=True, exist_ok=True)
    new.write_text(str(pid), encoding="utf-8")
    os.rename(new, RUN / f"{name}.pid")


def called(name: str, comm: str) -> None:
    """The name under which ss and ps show this process."""
    ctypes.CDLL(None).prctl(15, comm[:15].encode(), 0, 0, 0)


def _arguments(words: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (word.removeprefix("--").partition("=") for word in words)]


def serve(name: str, given: dict[str, str]) -> None:
    """The ports of a component; the controller manager also controls."""
    sockets = []
    for port, argument in LISTENS[name]:
        hosts = ["127.0.0.1"]
        if argument.endswith("urls"):
            hosts = [url.split("//")[1].rpartition(":")[0].strip("[]") for url in given[argument].split(",")]
        for host in hosts:
            listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(16)
            sockets.append(listener)
    if name == "etcd":
        Path(given["data-dir"], "member").mkdir(parents=True, exist_ok=True)
    limit, begun = int(place.setting("deadline", "900")), time.monotonic()
    from .controllers import Controllers  # only one of the components needs it

    controllers = Controllers(given) if name == "kube-controller-manager" else None
    while not limit or time.monotonic() - begun < limit:
        if controllers:
            controllers.turn()
        place.rest(0.15 if controllers else 1)


def end(name: str) -> None:
    pid = state(name).get("pid", 0)
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    (RUN / f"{name}.json").unlink(missing_ok=True)
