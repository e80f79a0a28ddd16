"""Whether containerd serves the CRI: a socket that answers, and the plugin behind it.

Sources: kubernetes/cri-client pkg/remote_runtime.go (`validate CRI v1 runtime API for endpoint`), grpc (`unknown service runtime.v1.RuntimeService`).
"""

from __future__ import annotations

import socket
import subprocess


def trouble(endpoint: str) -> str:
    """The words of the call that failed, with the quotes as in an error; "" where the CRI answers."""
    path = endpoint.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as cri:
        try:
            cri.connect(path)
        except OSError as error:
            said = (error.strerror or "").lower()
            said = f'code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix {path}: connect: {said}"'
        else:
            said = "" if _served(path) else "code = Unimplemented desc = unknown service runtime.v1.RuntimeService"
    return said and f'validate CRI v1 runtime API for endpoint "{endpoint}": rpc error: {said}'


def _served(path: str) -> bool:
    """By containerd's own list of plugins; what has no such list is taken at its word."""
    try:
        listed = subprocess.run(
            ("ctr", "--address", path, "--timeout", "5s", "plugins", "ls"),
            capture_output=True,
            text=True,
            timeout=8,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    # containerd 2 has the service as io.containerd.grpc.v1 cri as well
    return listed.returncode != 0 or any(
        row[:2] == ["io.containerd.grpc.v1", "cri"] and row[-1] == "ok" for row in rows
    )
