"""Addresses that recipes name: what none of them may hold, and how a file is read from one."""
