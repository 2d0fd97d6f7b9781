"""The command line: `sluice VERB`, a file for each group of verbs."""


def main() -> None:
    """Run the `sluice` command."""
    from flows.cli.app import run

    run()
