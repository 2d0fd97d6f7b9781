"""Finders of personal data by kind, and their replacement by placeholders."""
