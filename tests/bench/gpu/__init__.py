"""What runs on a GPU: `python -m tests.bench.gpu.training`."""
