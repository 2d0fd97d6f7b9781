"""The pass over rows of tokens that the engine is built on: in C for a CPU, in torch for a GPU."""
