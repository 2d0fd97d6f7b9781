"""Data ablation: which of two corpora makes the better model, by small models trained on equal tokens of each."""
