"""Which version of the sources a package was built from, as git says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGED = (
    "app.py",
    "chalicelib",
    ".chalice",
    "deploy/target.yaml",
    "requirements.txt",
    "requirements",
    "LICENSE",
    "pyproject.toml",
    "tools",
)
"""What a package is made from."""
GIT = shutil.which("git")
UNKNOWN = "unknown: not a git checkout"


def commit(root: Path) -> str:
    """Return the commit of a checkout, or UNKNOWN; also for a folder inside somebody else's checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top[0]).resolve() != root.resolve():
        return UNKNOWN
    return next(iter(_git(root, "rev-parse", "HEAD")), UNKNOWN)


def uncommitted(root: Path, sources: Sequence[str] = PACKAGED) -> list[str]:
    """Return the files of ``sources`` that differ from the commit, or that it does not have."""
    if commit(root) == UNKNOWN:
        return []
    return sorted(line[3:] for line in _git(root, "status", "--porcelain", "--untracked-files=all", "--", *sources))


def described(root: Path, sources: Sequence[str] = PACKAGED) -> Iterator[str]:
    """Yield, for a person, the commit, and each file that differs from it."""
    yield f"commit {commit(root)}"
    for name in uncommitted(root, sources):
        yield f"  with an uncommitted change: {name}"


def _git(root: Path, *words: str) -> list[str]:
    """Return git's lines; none if there is no git, or it refuses."""
    if GIT is None:
        return []
    done = subprocess.run([GIT, "-C", root, *words], capture_output=True, text=True, check=False)
    return [] if done.returncode else done.stdout.splitlines()
