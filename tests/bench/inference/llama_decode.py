"""Seconds of llama.cpp for a batch of prompts and for each token after them; run by the Python that has llama_cpp.

Usage: llama_decode.py FILE.gguf PROMPT_TOKENS NEW_TOKENS CONTEXT SEQUENCES THREADS ROUNDS; it prints JSON.

Notable: llama.cpp's own functions are called, without the Python around them, and the likeliest token is taken. With
one thread these are seconds of the processor.
"""

import json
import sys
import time
from typing import Any

import llama_cpp
import numpy as np


def main() -> None:
    """Read the prompts, then make tokens step by step; the least time of several rounds counts."""
    read, made, context, sequences, threads, rounds = map(int, sys.argv[2:])
    clock = time.process_time if threads == 1 else time.perf_counter
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_seq_max = context * sequences, read * sequences, sequences
    options.n_threads, options.n_threads_batch = threads, threads
    state = llama_cpp.llama_init_from_model(model, options)
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(read * sequences, 0, 1)
    prompts = [[3 + (at + 17 * row) % 300 for at in range(read)] for row in range(sequences)]
    best: dict[str, float] = {"prompt": 1e9, "token": 1e9}
    for _ in range(rounds):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(state), True)
        began = clock()
        tokens = _next(state, batch, prompts, 0, size)
        after = clock()
        for step in range(made):
            tokens = _next(state, batch, [[token] for token in tokens], read + step, size)
        seconds = (clock() - after) / made
        best = {"prompt": min(best["prompt"], after - began), "token": min(best["token"], seconds)}
    print(json.dumps(best))


def _next(state: Any, batch: Any, rows: list[list[int]], position: int, size: int) -> list[int]:
    """Read further tokens of each sequence, and return the likeliest after them."""
    batch.n_tokens = 0
    wanted = []
    for sequence, tokens in enumerate(rows):
        for offset, token in enumerate(tokens):
            at = batch.n_tokens
            batch.token[at], batch.pos[at] = token, position + offset
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            batch.logits[at] = offset == len(tokens) - 1
            batch.n_tokens = at + 1
        wanted.append(batch.n_tokens - 1)
    assert llama_cpp.llama_decode(state, batch) == 0
    logits = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(state, at), (size,)) for at in wanted]
    return [int(row.argmax()) for row in logits]


if __name__ == "__main__":
    main()
