"""Compare a package with what this checkout builds: `make verify-package ZIP=deployment.zip`.

    python -m tools.verify ZIP

Prints what differs. Exit status: 0 if nothing does, 1 if something does, 2 if it could not be compared.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools import checkout
from tools.package import ROOT, BrokenPackage, build

SAME, DIFFERS, NOT_COMPARED = 0, 1, 2
HERE = f"{sys.version_info.major}{sys.version_info.minor}"


def main(arguments: list[str]) -> int:
    """Build the package again, and compare; return the exit status."""
    if len(arguments) != 1:
        print("usage: make verify-package ZIP=deployment.zip", file=sys.stderr)
        return NOT_COMPARED
    given = Path(arguments[0])
    try:
        with tempfile.TemporaryDirectory(prefix="verify-") as directory:
            if version := _other_python(given):
                print(
                    f"verify-package: {given} was built with Python {version}: `make PYTHON=python{version}`",
                    file=sys.stderr,
                )
                return NOT_COMPARED
            build(Path(directory) / "hub")
            found = list(differences(given, Path(directory) / "hub" / "deployment.zip"))
    except (BrokenPackage, OSError, zipfile.BadZipFile) as error:
        print(f"verify-package: {given} could not be compared: {error}", file=sys.stderr)
        return NOT_COMPARED
    print("Built again from", *checkout.described(ROOT), sep="\n")
    for line in found:
        print(line)
    print(f"{given}: {f'{len(found)} differences.' if found else 'the same files, byte by byte.'}")
    return DIFFERS if found else SAME


def differences(given: Path, ours: Path) -> Iterator[str]:
    """Yield, in words, what a zip holds, lacks or holds otherwise than another."""
    theirs, right = _content(given), _content(ours)
    for name in sorted(theirs.keys() | right.keys()):
        if name not in right:
            yield f"must not be there: {name}"
        elif name not in theirs:
            yield f"is missing: {name}"
        elif theirs[name] != right[name]:
            yield f"differs: {name}"


def _content(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and bytes of each file of a zip. A second file of a name, which some programs take, has a number."""
    seen: Counter[str] = Counter()
    content = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            seen[entry.filename] += 1
            again = f" (number {seen[entry.filename]} of this name)" if seen[entry.filename] > 1 else ""
            content[entry.filename + again] = entry.external_attr, archive.read(entry)
    return content


def _other_python(path: Path) -> str:
    """Return the Python for which a zip is compiled; "" if it is this one, or none."""
    with zipfile.ZipFile(path) as archive:
        tags = set(re.findall(r"\.cpython-(\d+)\.pyc", "\n".join(archive.namelist())))
    return "" if not tags or HERE in tags else " or ".join(f"{tag[0]}.{tag[1:]}" for tag in sorted(tags))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
