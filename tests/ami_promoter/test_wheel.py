"""What `make wheel` builds: the command line for installation elsewhere."""

import zipfile

from tools import wheel


def test_the_wheel_has_the_command_and_what_it_reads(tmp_path):
    """The console script, the targets file's schema, the rooms' decisions; no simulator, tests or tools."""
    with zipfile.ZipFile(wheel.build(tmp_path)) as archive:
        names = archive.namelist()
        (about,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
        (scripts,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]

    assert "ami-promoter = ami_promoter.__main__:main" in scripts
    assert "Project-URL: Repository, https://" in about  # messages name files of the repository by it
    assert "ami_promoter/targets_file/targets.schema.json" in names
    assert "ami_promoter/report_page/style.css" in names
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"ami_promoter", "chalicelib"}
