"""Static pods as processes: started from kubeadm's manifests, their words in /var/log/pods, alive without the kubelet.

Source: kubernetes/kubernetes pkg/kubelet (CrashLoopBackOff), pkg/kubelet/config/file.go (every file that does
not begin with a dot is a manifest), pkg/kubelet/pod_workers.go (allowPodStart: of two with one name the first runs, the other
waits), pkg/kubelet/kuberuntime (folders and lines of /var/log/pods).
"""

from __future__ import annotations

import copy
import ctypes
import functools
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

from . import place, volumes
from .runs import OTHERS, RUN, alive, end_of, log_path, remember, state

CGROUP = Path("/sys/fs/cgroup/standin")
LISTENS = {
    "etcd": ((2379, "listen-client-urls"), (2380, "listen-peer-urls"), (2381, "")),
    "kube-controller-manager": ((10257, "bind-address"),),
    "kube-scheduler": ((10259, "bind-address"),),
}


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def parsed(text: str) -> dict[str, Any]:
    """A manifest, read once: an emulated processor takes long over YAML."""
    made: dict[str, Any] = copy.deepcopy(_parsed(text))
    return made


def manifests(folder: Path) -> dict[str, Path]:
    """The pods that the files of a folder describe, by name; of two files for one pod that which runs, else the first."""
    named: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        try:
            text = path.read_text(encoding="utf-8")
            name = _parsed(text)["metadata"]["name"]
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
            said = str(error).replace(chr(10), " ")
            print(f'E0101 00:00:00.000000    1000 file.go:187] "Could not process manifest file" err="{path}: couldn\'t parse as pod({said}), '
                  f'please check config file" path="{path}"', flush=True)  # fmt: skip
            continue
        if name not in named or state(name).get("file") == str(path):
            named[name] = path
    return named


def note(running: list[dict[str, Any]]) -> None:
    """The pods of the API server that run, for who asks the runtime."""
    OTHERS.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for pod in running:
        meta = pod["metadata"]
        if "kubernetes.io/config.mirror" not in meta.get("annotations", {}):
            wanted[meta["uid"]] = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
                                   "container": pod["spec"]["containers"][0]["name"],
                                   "handler": pod["spec"].get("runtimeClassName", "")}  # fmt: skip
    for path in OTHERS.glob("*.json"):
        if path.stem not in wanted:
            path.unlink()
    for uid, told in wanted.items():
        path = OTHERS / f"{uid}.json"
        if not path.exists():
            path.write_text(json.dumps({**told, "created": time.time_ns()}), encoding="utf-8")


def tend(folder: Path, node: str) -> None:
    """Starts what has a manifest and does not run, ends what has none."""
    named = manifests(folder)
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
        start(name, parsed(text), node, digest, path)


def start(name: str, pod: dict[str, Any], node: str, digest: str, path: Path) -> None:
    before = state(name)
    attempt = before.get("attempt", -1) + 1
    ended = {"attempt": before["attempt"], "created": before["created"], **end_of(name)} if "created" in before else {}
    log = log_path(name, node, attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    trouble = volumes.prepare(pod)
    if trouble:
        print(f'E0101 00:00:00.000000    1000 kubelet.go:1] "{trouble}" pod="kube-system/{name}-{node}"', flush=True)
        remember(
            name, file=str(path), node=node, digest=digest, pid=0, attempt=-1, again=time.time() + 1, trouble=trouble
        )
        return
    said = place.wanted_failure(name) or volumes.unseen(pod)
    command = pod["spec"]["containers"][0]["command"]
    pid, created = 0, time.time_ns()
    (RUN / f"{name}.exit").unlink(missing_ok=True)
    if said:
        write_log(log, said)
        _ends(name, 1)
    else:
        pid = spawn(name, command, log)
    remember(
        name, file=str(path), node=node, digest=digest, pid=pid, attempt=attempt, again=time.time() + min(2**attempt, 5), log=str(log),
        trouble="", created=created, last=ended,
    )  # fmt: skip
    if attempt and not pid:
        print(f'E0101 00:00:00.000000    1000 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
              f'\\"{name}\\" with CrashLoopBackOff: \\"back-off 10s restarting failed container={name}\\"" pod="kube-system/{name}-{node}"',
              flush=True)  # fmt: skip


def _ends(name: str, code: int) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    (RUN / f"{name}.exit").write_text(json.dumps({"code": code, "finished": time.time_ns()}), encoding="utf-8")


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
    _apart(name)
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
            _ends(name, child.wait() % 256)
        else:
            called(name, name)
            _tell(name, os.getpid())
            serve(name, dict(_arguments(command[1:])))
    except BaseException as error:  # noqa: BLE001 - the words of a container that dies
        write_log(log, f"panic: {error}")
        _ends(name, 2)
    os._exit(1)


def _apart(name: str) -> None:
    """Out of the kubelet's own cgroup, with which systemd would end it; the real ones are below kubepods."""
    try:
        CGROUP.joinpath(name).mkdir(parents=True, exist_ok=True)
        CGROUP.joinpath(name, "cgroup.procs").write_text("0", encoding="utf-8")
    except OSError:  # cgroups of version 1, or a container's that may not be written
        return


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
    for kind in ("json", "exit"):
        (RUN / f"{name}.{kind}").unlink(missing_ok=True)
