"""The families of rules, a file each: signals with their column types, how they are measured, rules with thresholds."""
