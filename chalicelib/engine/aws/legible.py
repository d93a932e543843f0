"""Makes EC2's answers legible: replaces the characters that XML cannot have, before the SDK parses the answer.

A tag's value can have control characters. No XML parser accepts these, raw or as a reference such as ``&#x1;``: the SDK
would raise ResponseParserError for the whole answer, with up to 200 AMIs, each time [botocore, parsers].
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.engine.illegible import ILLEGIBLE

EVENT = "before-parse.ec2"
"""botocore's event for which ``make_legible`` is registered."""
_RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile("&#(?:x([0-9a-fA-F]+)|([0-9]+));")


def make_legible(response_dict: dict[str, Any], **_rest: Any) -> None:
    """Replace them in an answer's body by ILLEGIBLE; all else stays as it is."""
    text = response_dict["body"].decode("utf-8", "replace")
    response_dict["body"] = _REFERENCE.sub(_referenced, _RAW.sub(ILLEGIBLE, text)).encode()


def _referenced(found: re.Match[str]) -> str:
    number = int(found[1], 16) if found[1] else int(found[2])
    allowed = number in (0x9, 0xA, 0xD) or 0x20 <= number <= 0xD7FF or 0xE000 <= number <= 0xFFFD
    return found[0] if allowed or 0x10000 <= number <= 0x10FFFF else ILLEGIBLE
