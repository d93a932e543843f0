"""The parts of `make second-opinion` that need no emulator: reading the guide, filling in values, the report."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tools.second_opinion import guide, launcher, opinion
from tools.second_opinion.__main__ import report
from tools.second_opinion.conditions import resources

PAGE = """\
# Title

Prose with `a command` in it.

    first one \\
        --with more
    second A-VALUE

<!-- not run: it needs the moon -->

```sh
third
```

## Later

```yaml
no: command
```

```sh
fourth
```
"""


def test_commands_are_read_as_written():
    """Shell fences and indented blocks count, continued lines are one command, and a reason holds for one block."""
    read = guide.blocks(PAGE)

    assert [block.commands for block in read] == [("first one --with more", "second A-VALUE"), ("third",), ("fourth",)]
    assert [block.not_run for block in read] == ["", "it needs the moon", ""]
    assert [block.section for block in read] == ["Title", "Title", "Later"]
    assert [block.line for block in read] == [5, 12, 22]


def test_placeholders_are_filled_in_whole_words_only():
    """The reader's value replaces the capitals, not a longer name that contains them."""
    filled = guide.filled_in("--bucket BUCKET --key BUCKET-KEY s3://BUCKET", {"BUCKET": "mine"})

    assert filled == "--bucket mine --key BUCKET-KEY s3://BUCKET"


def test_what_hangs_on_a_false_condition_is_not_expected(tmp_path):
    """Conditions are evaluated with the given parameters and the others' defaults."""
    template = tmp_path / "template.yaml"
    template.write_text(
        "Parameters:\n  Some: {Type: CommaDelimitedList, Default: ''}\n"
        "Conditions:\n  Has: !Not [!Equals [!Join ['', !Ref Some], '']]\n"
        "Resources:\n  Always: {Type: A}\n  Only: {Type: B, Condition: Has}\n"
    )

    assert resources(template, {}) == {"Always": "A"}
    assert resources(template, {"Some": "x,y"}) == {"Always": "A", "Only": "B"}


def test_a_statement_that_does_not_hold_is_shown():
    """The report has the failed statement and what was found, and a bad verdict."""
    one = opinion.Opinion()
    one.check("water flows downhill", holds=True)
    one.check("and uphill", holds=False, detail="it did not")

    assert not one.holds
    assert "BROKEN  and uphill" in report(one)
    assert "it did not" in report(one)
    assert "1 of 2 statements do not hold" in report(one)


def test_the_emulator_ends_with_its_workers():
    """It kills the whole process group, also if the first process has ended."""
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60'], stdout=2).pid, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    with process.stdout:
        worker = int(process.stdout.readline())

    launcher.end(process)

    deadline = time.monotonic() + 5
    while not _is_gone(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _is_gone(worker)
    assert process.returncode is not None


def _is_gone(pid):
    """Whether a process has ended, including one that no parent has waited for."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
