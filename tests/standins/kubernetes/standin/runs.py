"""What the kubelet's stand-in notes of the containers that it runs, for itself and for who asks the runtime. It loads nothing that is slow.

Source: kubernetes/kubernetes pkg/kubelet/kuberuntime (folders of /var/log/pods).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

RUN = Path("/run/standin-pods")
OTHERS = RUN / "others"


def state(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((RUN / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def remember(name: str, **values: Any) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    new = RUN / f"{name}.json.new"
    new.write_text(json.dumps({**state(name), **values}), encoding="utf-8")
    os.rename(new, RUN / f"{name}.json")


def alive(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return pid > 0 and words.rpartition(")")[2].split()[0] != "Z"


def log_path(name: str, node: str, attempt: int) -> Path:
    import hashlib  # OpenSSL is slow to load where a processor is emulated, and crictl does without

    uid = hashlib.sha256(f"{name}{node}".encode()).hexdigest()[:32]
    return Path(f"/var/log/pods/kube-system_{name}-{node}_{uid}/{name}/{attempt}.log")


def end_of(name: str) -> dict[str, int]:
    """How its last try ended; what left no word was killed."""
    try:
        found: dict[str, int] = json.loads((RUN / f"{name}.exit").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"code": 137, "finished": time.time_ns()}
    return found
