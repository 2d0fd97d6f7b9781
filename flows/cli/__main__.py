"""`python -m flows.cli`, where `sluice` is not on the path."""

from flows.cli import main

main()
