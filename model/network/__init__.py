"""The decoder as plain maths."""
