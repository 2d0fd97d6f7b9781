"""The flows, the command line, and what people see of a run."""
