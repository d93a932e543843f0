"""The package's size, by part."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

from bench.cold import PACKAGE

OURS = ("app.py", "chalicelib", "chalice")


def measure(package: Path = PACKAGE) -> dict[str, int]:
    """Return compressed bytes by part, the largest first."""
    found: Counter[str] = Counter()
    with zipfile.ZipFile(package) as archive:
        for one in archive.infolist():
            top, _, rest = one.filename.partition("/")
            part = "the service" if top in OURS else "licences and descriptions" if ".dist-info" in top else top
            if top == "botocore" and rest.startswith("data/"):
                part = "botocore: descriptions of services"
            if rest.endswith(".pyc"):
                part = "compiled files"
            found[part] += one.compress_size
    return dict(found.most_common())
