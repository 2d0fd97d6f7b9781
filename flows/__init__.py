"""What runs, in which order, and what people see of it."""
