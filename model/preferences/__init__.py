"""Preference finetuning: pairs of replies or rated ones, the reference's log-probabilities, the losses."""
