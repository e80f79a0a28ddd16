"""Secrets in foreign configuration are never shown: passwords, tokens and keys by their key's name, and in URLs."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
_NAME = r"[\w.-]*(?:password|passwd|secret|token|auth|api[_-]?key|private[_-]?key|credentials?)"
_KEY = re.compile(rf"(?i){_NAME}")
_SETTING = re.compile(
    rf"""(?im)(["']?\b{_NAME}["']?[ \t]*[=:][ \t]*)(?!["']{{2}}|[\[{{]|(?:true|false)\b)("[^"\n]*"|'[^'\n]*'|[^\s,}}]+)"""
)
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with the values of secret-looking keys, and the user part of URLs that hold a password, hidden. Idempotent."""
    return _IN_URL.sub(rf"\1{HIDDEN}@", _SETTING.sub(rf"\1{HIDDEN}", text))


def is_secret(key: str, value: object) -> bool:
    """Whether a key's value is one to hide: a text that is not empty, under a secret's name."""
    return isinstance(value, str) and value != "" and _KEY.fullmatch(key) is not None
