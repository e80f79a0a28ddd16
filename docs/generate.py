"""Writes all generated pages: python docs/generate.py. tests/test_site.py says when that is due; docs/pages has what they are made of."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from docs.pages import tree

    tree.write()
