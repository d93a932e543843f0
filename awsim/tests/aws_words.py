"""The real ``aws`` command line, for tests over HTTP."""

import json
import subprocess
from pathlib import Path

AWS = Path(__file__).parents[2] / ".venv-aws" / "bin" / "aws"
LONGEST = 60


def aws(environment: dict[str, str], *words: str) -> object:
    """Run a command; return its JSON, or its message if it fails."""
    done = subprocess.run(  # noqa: PLW1510 - looked at below
        [str(AWS), *words], env=environment, capture_output=True, text=True, timeout=LONGEST
    )
    if done.returncode:
        return done.stderr.strip()
    return json.loads(done.stdout) if done.stdout else None
