"""What a person sets once for all commands, in variables and in a small file; an option goes before both."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ami_promoter.terminal.output import PROGRAM

PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""Variables that name a profile, in the SDK's order."""
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "profile": (*PROFILES, "AWS_ACCESS_KEY_ID"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "table": ("AMI_PROMOTER_TABLE",),
    "hub_account": ("AMI_PROMOTER_HUB_ACCOUNT",),
    "tag_key": ("AMI_PROMOTER_TAG_KEY",),
}
"""Names in the file -> variables that go before it. Those of AWS are read by its SDK."""
OF_THE_HUB = ("region", "table", "hub_account")


CONFIG = "AMI_PROMOTER_CONFIG"
"""The variable that names the file."""


class Preference(NamedTuple):
    """A value, and where it is set."""

    value: str
    where: str


class UnusableFile(Exception):
    """The file cannot be read; the message says what is wrong with it."""


def place() -> Path:
    """Return where the file is: ``AMI_PROMOTER_CONFIG``, or in the directory of the user's configuration.

    Raises RuntimeError if there is no home directory.
    """
    if named := os.environ.get(CONFIG):
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / f"{PROGRAM}.toml"


def named_profile() -> str:
    """Return the profile that a variable names; "" if none does."""
    return next(filter(None, map(os.environ.get, PROFILES)), "")


def preferences(profile: str | None = None) -> Mapping[str, Preference]:
    """Return what is set by name, without what AWS's variables set; raises UnusableFile.

    ``profile``: the one that an option names. What the file says about the hub of its profile says nothing about
    another profile's.
    """
    file, profile = _file(), profile or named_profile()
    elsewhere = profile and profile != file.get("profile", profile)
    kept = {name: value for name, value in file.items() if not (elsewhere and name in OF_THE_HUB)}
    found = {name: Preference(value, str(place())) for name, value in kept.items()}
    for name, variables in VARIABLES.items():
        for variable in variables:
            if value := os.environ.get(variable):
                found.pop(name, None)
                if not variable.startswith("AWS_"):
                    found[name] = Preference(value, variable)
    return found


def _file() -> Mapping[str, str]:
    try:
        file = place()
        read = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (PermissionError, NotADirectoryError, RuntimeError) as error:
        if not os.environ.get(CONFIG):  # no home directory, or another user's: as in a container
            return {}
        raise UnusableFile(f"{os.environ[CONFIG]}: it cannot be read: {error}") from error
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{file}: it cannot be read: {error}") from error
    for name, value in read.items():
        if name not in VARIABLES:
            raise UnusableFile(f"{file}: `{name}` is no setting; it can have {', '.join(VARIABLES)}.")
        if not isinstance(value, str):
            raise UnusableFile(f'{file}: write `{name} = "TEXT"`.')
    return read
