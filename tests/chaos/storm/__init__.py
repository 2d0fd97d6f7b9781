"""`make chaos`: whole runs under random kills and faults of what they run on, and what must be equal afterwards."""
