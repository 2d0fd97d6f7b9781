"""Tests of the room that writes what an extractor chose."""
