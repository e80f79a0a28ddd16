"""Tests marked `root` are skipped, with the reason, where there is no root or where it may not make namespaces."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of what else the machine does than of the code: bench/ measures that.
settings.register_profile("caasctl", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("caasctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("root")]
    reason = _lacking() if marked else ""
    for item in marked if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))


def _lacking() -> str:
    """What stands in the way of tests that need root and Linux namespaces; "" where nothing does."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        done = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "needs unshare"
    return f"needs Linux namespaces: {done.stderr.strip()}" if done.returncode else ""
