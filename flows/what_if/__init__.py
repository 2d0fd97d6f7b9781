"""The funnel under other thresholds: a run's stored decisions made again as another recipe would, in seconds.

Notable:
- Only decisions are read, never a text. What the filter says is exact: the same as a run of the recipe would say of the
  documents that this run measured.
- What was never measured cannot be decided on: later stages know nothing of a document that would newly pass a stage.
  Their counts are then given as the least, the most and the likely, the last at the rates of the run.
- Whatever in the recipe decides what is fetched, extracted or measured stays as in the run, and is named.
"""
