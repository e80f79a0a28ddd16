"""kubeconfig files: which cluster they speak to, and whether one may take another's place."""

from __future__ import annotations

from typing import Any

from caasctl.formats import FormatError, parse_yaml

OURS = "kubernetes-admin"  # the user of kubeadm's admin.conf


def servers(text: str) -> frozenset[str]:
    """URLs of the API servers that it names; none for what is no kubeconfig."""
    return frozenset(str(each.get("server", "")) for each in _entries(text, "clusters", "cluster"))


def authority(text: str) -> str:
    """certificate-authority-data of the first cluster; "" where it has none."""
    found = _entries(text, "clusters", "cluster")
    return str(found[0].get("certificate-authority-data", "")) if found else ""


def stale(old: str, new: str) -> bool:
    """Whether `old` is an earlier admin.conf of the API server that `new` speaks to, and nothing else is in it."""
    users = [str(each.get("name", "")) for each in _list(old, "users")]
    return bool(servers(new)) and servers(old) == servers(new) and users == [OURS]


def _entries(text: str, plural: str, singular: str) -> list[dict[str, Any]]:
    return [each[singular] for each in _list(text, plural) if isinstance(each.get(singular), dict)]


def _list(text: str, key: str) -> list[dict[str, Any]]:
    try:
        data = parse_yaml(text, "kubeconfig")
    except FormatError:
        return []
    found = data.get(key) if isinstance(data, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
