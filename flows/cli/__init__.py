"""The command line: `sluice VERB`, a file for each group of verbs."""

import signal
import sys


def main() -> None:
    """Run the `sluice` command."""
    try:
        from flows.cli.app import run

        run()
    except KeyboardInterrupt:  # while it loads what it needs; a verb that works tells its own end
        print("Interrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
