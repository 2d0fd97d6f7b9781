"""What a run measures and logs: loss lines, speed, FLOP, GPUs, trackers."""
