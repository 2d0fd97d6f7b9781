"""The Prefect servers that Sluice starts: one for the length of a run, and one to deploy to (`make server`)."""
