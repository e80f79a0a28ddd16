"""Secrets in foreign configuration are never shown: passwords, tokens and keys by their key's name, and in URLs."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
_NAME = r"[\w.-]*(?:password|passwd|secret|token|auth|api[_-]?key|private[_-]?key|credentials?|authorization)"
_KEY = re.compile(rf"(?i){_NAME}")
_SETTING = re.compile(
    rf"""(?im)(["']?\b{_NAME}["']?[ \t]*[=:][ \t]*)(?!["']{{2}}|[\[{{]|(?:true|false)\b)("[^"\n]*"|'[^'\n]*'|[^\s,}}]+)"""
)
_LIST = re.compile(rf"""(?im)(["']?\b{_NAME}["']?[ \t]*[=:][ \t]*)\[[ \t]*["'][^\]\n]*\]""")
_HEADER = re.compile(r"""(?i)(["'](?:basic|bearer)[ \t]+)[^"'\n]+""")  # of HTTP, as containerd's registries have it
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with the values of secret-looking keys, and the user part of URLs that hold a password, hidden. Idempotent."""
    for pattern in (_LIST, _SETTING, _HEADER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _IN_URL.sub(rf"\1{HIDDEN}@", text)


def is_secret(key: str, value: object) -> bool:
    """Whether a key's value is one to hide: a text that is not empty, or a list with one, under a secret's name."""
    texts = value if isinstance(value, (list, tuple)) else (value,)
    return any(isinstance(text, str) and text for text in texts) and _KEY.fullmatch(key) is not None
