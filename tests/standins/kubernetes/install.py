"""Installs the stand-ins into a folder: `python install.py FOLDER [BIN]`. They run on the Python that installs them; it needs PyYAML.

FOLDER gets programs/ (copies) and bin/ (links to them); BIN, /usr/local/bin for one, gets the links too. What they keep of a
cluster's machine is in /var/lib/standin, where charts of Cilium are laid as well: FOLDER/repository is copied there by whoever wants it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NODE = ("kubeadm", "kubelet", "helm", "crictl")
SYSTEM = ("systemctl", "journalctl")
SCHEMAS = HERE.parents[2] / "schemas"


def install(folder: Path, *, programs: tuple[str, ...] = (*NODE, *SYSTEM)) -> Path:
    """FOLDER/bin."""
    copies, links = folder / "programs", folder / "bin"
    shutil.copytree(
        HERE / "standin", copies / "standin", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    (copies / "schemas").mkdir(exist_ok=True)
    for path in SCHEMAS.glob("*-v1*.schema.json"):
        shutil.copy(path, copies / "schemas")
    links.mkdir(exist_ok=True)
    for name in (*programs, "kube-apiserver"):
        text = (HERE / name).read_text(encoding="utf-8")
        copy = copies / name
        copy.write_text(f"#!{sys.executable}\n{text.partition(chr(10))[2]}", encoding="utf-8")
        copy.chmod(0o755)
        link = links / name
        link.unlink(missing_ok=True)
        if name != "kube-apiserver":  # a container's program is on no PATH
            link.symlink_to(copy)
    return links


def repository(folder: Path, versions: dict[str, str]) -> None:
    """Charts of Cilium: version -> the version whose schema in schemas/ it has."""
    for version, schema in versions.items():
        chart = folder / f"cilium-{version}"
        chart.mkdir(parents=True, exist_ok=True)
        told = {
            "apiVersion": "v2",
            "name": "cilium",
            "version": version,
            "appVersion": version,
            "kubeVersion": ">= 1.21.0-0",
        }
        (chart / "Chart.yaml").write_text(json.dumps(told), encoding="utf-8")
        shutil.copy(SCHEMAS / f"cilium-{schema}.values.schema.json", chart / "values.schema.json")


if __name__ == "__main__":
    place, *bins = map(Path, sys.argv[1:])
    made = install(place, programs=NODE if bins else (*NODE, *SYSTEM))
    repository(place / "repository", {"1.20.5": "1.20.0", "1.19.11": "1.19.6", "1.18.14": "1.18.12"})
    for bin_ in bins:
        for link in made.iterdir():
            (bin_ / link.name).unlink(missing_ok=True)
            (bin_ / link.name).symlink_to(link.resolve())
