"""Wildcards and policy variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

Values = str | Sequence[str]
Context = Mapping[str, Values]
"""Condition key in lower case -> its value or values. A key that the request lacks is missing."""

_TOKEN = re.compile(r"\$\{([^}]*)\}|(\*)|(\?)|([^*?$]+|\$)")
_VARIABLE = re.compile(r"^\s*([^,]+?)\s*(?:,\s*'(.*)'\s*)?$")


def like(pattern: str, value: str, context: Context, *, fold: bool = False) -> bool:
    """Whether a value matches a pattern with ``*``, ``?`` and ``${variables}``.

    A variable without a value matches nothing; its value is taken literally. ``${*}``, ``${?}`` and ``${$}`` are the
    characters.
    """
    if "${" not in pattern:
        return _compiled(pattern, fold).fullmatch(value) is not None
    regex = _regex(pattern, context)
    return regex is not None and re.fullmatch(regex, value, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def arn_like(pattern: str, value: str, context: Context) -> bool:
    """Whether ARNs match: a wildcard stays within its colon-separated part, except in the last one."""
    if pattern == "*":
        return True
    wanted, given = _parts(pattern), value.split(":", 5)
    if len(wanted) != len(given):
        return False
    return all(like(part, got, context) for part, got in zip(wanted, given, strict=True))


def literal(text: str, context: Context) -> str | None:
    """Replace the variables of a text that has no wildcards; None if one has no value."""
    if "${" not in text:
        return text
    out = []
    for variable, star, mark, plain in _TOKEN.findall(text):
        if not variable:
            out.append(star or mark or plain)
            continue
        value = _value(variable, context)
        if value is None:
            return None
        out.append(value)
    return "".join(out)


def _parts(pattern: str) -> list[str]:
    # A colon inside ${aws:PrincipalAccount} does not separate.
    protected = re.sub(r"\$\{[^}]*\}", lambda found: found.group().replace(":", "\0"), pattern)
    return [part.replace("\0", ":") for part in protected.split(":", 5)]


@functools.cache
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:  # noqa: FBT001 - private, and cached by position
    return re.compile(_regex(pattern, {}) or "", re.DOTALL | (re.IGNORECASE if fold else 0))


def _regex(pattern: str, context: Context) -> str | None:
    out = []
    for variable, star, mark, plain in _TOKEN.findall(pattern):
        if variable:
            value = _value(variable, context)
            if value is None:
                return None
            out.append(re.escape(value))
        else:
            out.append(".*" if star else "." if mark else re.escape(plain))
    return "".join(out)


def _value(variable: str, context: Context) -> str | None:
    if variable in {"*", "?", "$"}:
        return variable
    found = _VARIABLE.match(variable)
    if found is None:
        return None
    value = context.get(found.group(1).lower(), found.group(2))
    return value if isinstance(value, str) else None
