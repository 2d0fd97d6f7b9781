"""Reinforcement learning with rewards that a program can check: prompts, replies, rewards and the loss (GRPO)."""
