"""Deployments, schedules, cancelling: what a permanent server does."""
