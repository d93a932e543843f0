"""The command ``ami-promoter``, and ``python -m ami_promoter``."""

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from ami_promoter import cli
    except KeyboardInterrupt:  # Ctrl-C while Python reads the command's own code
        sys.stderr.write("ami-promoter: stopped: nothing was changed.\n")
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
