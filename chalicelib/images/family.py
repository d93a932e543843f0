"""An AMI's family: the successive AMIs of one thing, as a tag of the source names it.

It is read from that tag alone, never guessed from an AMI's name. Without the tag an AMI has no family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.engine.faults import Fault

_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")


def family_of(tags: Mapping[str, str], key: str) -> str:
    """Return the family that the tag with this key names; "" if there is none, or none that can be used."""
    value = tags.get(key, "")
    return value if _FORM.fullmatch(value) else ""


def fault(tags: Mapping[str, str], key: str, where: str) -> Fault | None:
    """Return why the tag names no family that can be used; None: it does, or there is no such tag."""
    if key not in tags or family_of(tags, key):
        return None
    shown = ascii(tags[key][:80])
    what = f"The tag `{key}` of the source, {shown}, names no family: it has 1 to 64 letters, digits, `.`, `_` or `-`."
    cure = "Correct the source's tag, then promote it; if it is delivered already, promote the next AMI of the family."
    return Fault("family-not-usable", where, what, cure)


def parameter_of(template: str, family: str) -> str:
    """Return the name of the parameter of a family; "" if the target has none, or the AMI no family."""
    return template.replace("{family}", family) if template and family else ""
