"""Arithmetic of cost: scaling laws, memory, GPUs, the ladder of small models."""
