"""The report of a run: one self-contained HTML page, and the same story in the terminal.

Notable: it reads the store and the run's record only, so it can be made at any time, also of a run that failed
half-way or of a store elsewhere; what is not there is named as missing and the rest is shown. Nothing is imported here,
for `flows.display.safe_text` is needed where there is nothing to draw.
"""
