"""The funnel under other thresholds: a run's decisions judged again as a recipe would have it, in seconds.

Notable:
- Only decisions are read, never a text. What the filter says is exact: the same as a run of the recipe would say of the
  documents that this run measured.
- What was never measured cannot be judged: of a document that would newly pass a stage, the later stages know nothing.
  Their counts are then given as the least, the most and the likely, the last at the rates of the run.
- Anything in the recipe that decides what is fetched, extracted or measured is not judged again, and is named.
"""
