"""Generation beside transformers and llama.cpp; serving; search."""
