"""Evaluation tasks; a new benchmark comes here and into `TASKS` of model/evaluate.py."""
