"""What people and other programs see of a run while it goes: artifacts and events of Prefect, metrics, lineage."""
