"""The bill of materials of a package, as CycloneDX wants it in JSON: what is in the zip, of which licence, from where.

It is read off the zip itself: each library is there with the metadata that its publisher gave it. The same zip of the
same commit gives the same text; so there is no time in it, and its serial number is derived from both. Written by hand,
as the few members that it has are less than the library that would write them; ``make audit`` checks it against CycloneDX's schema.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import uuid
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

from tools import checkout

COMMIT, UNCOMMITTED = "ami-promoter:commit", "ami-promoter:uncommitted"
"""Properties: the commit of the sources, and each file of them that was not as in that commit."""
SPDX = ("Apache-2.0", "MIT", "MIT-0")
"""What libraries write in the older field ``License`` and is a licence's id."""


def text(package: Path, root: Path) -> str:
    """Return the bill of materials of a zip; ``root`` is the repository, whose pyproject.toml names the service."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    commit = checkout.commit(root)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = f"pkg:generic/{project['name']}@{project['version']}"
    with zipfile.ZipFile(package) as archive:
        libraries = [_metadata(archive, name) for name in sorted(archive.namelist()) if _is_metadata(name)]
        files = [_file(archive, name) for name in sorted(archive.namelist())]
    known = {_normal(one["Name"]): _purl(one) for one in libraries}
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest + commit)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"expression": project["license"]}],
                "properties": [
                    {"name": COMMIT, "value": commit},
                    *({"name": UNCOMMITTED, "value": name} for name in checkout.uncommitted(root)),
                ],
                "components": files,
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": _purl(one),
                "name": one["Name"],
                "version": one["Version"],
                "licenses": [_licence(one)],
                "purl": _purl(one),
            }
            for one in libraries
        ],
        "dependencies": [
            {"ref": own, "dependsOn": sorted(known.values())},
            *(
                {"ref": _purl(one), "dependsOn": sorted(known[it] for it in set(_needs(one)) & set(known))}
                for one in libraries
            ),
        ],
    }
    return json.dumps(bill, indent=2) + "\n"


def _file(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    digest = hashlib.sha256(archive.read(name)).hexdigest()
    return {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _is_metadata(name: str) -> bool:
    return re.fullmatch(r"[^/]+\.dist-info/METADATA", name) is not None


def _metadata(archive: zipfile.ZipFile, name: str) -> Message:
    return Parser().parsestr(archive.read(name).decode())


def _purl(library: Message) -> str:
    return f"pkg:pypi/{_normal(library['Name'])}@{library['Version']}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(library: Message) -> dict[str, Any]:
    if library["License-Expression"]:
        return {"expression": library["License-Expression"]}
    given = library["License"]
    return {"license": {"id" if given in SPDX else "name": given}}


def _needs(library: Message) -> Iterator[str]:
    """Name what a library asks for; not for its extras."""
    for asked in library.get_all("Requires-Dist", []):
        if "extra ==" not in asked:
            yield _normal(re.split(r"[^A-Za-z0-9._-]", asked)[0])
