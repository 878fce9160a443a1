"""What people type. Nothing heavy is imported before a command runs."""

import sys


def main() -> None:
    """Run the command line; exits 0, 1 on a failure and 2 on wrong usage."""
    from workdeed.cli.root import root

    sys.exit(root.main(prog_name="workdeed"))
