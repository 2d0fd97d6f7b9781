"""Conversations made from a few lines about the assistant: who it is, what its system prompt asks, its tools."""
