"""Processor seconds of llama.cpp for a prompt and for each token after it; run by the Python that has llama_cpp.

Usage: llama_decode.py FILE.gguf PROMPT_TOKENS NEW_TOKENS CONTEXT THREADS ROUNDS; it prints JSON.

Notable: llama.cpp's own functions are called, without the Python around them, and the likeliest token is taken.
"""

import json
import sys
import time

import llama_cpp
import numpy as np


def main() -> None:
    """Read the prompt, then make tokens one by one; the least time of several rounds counts."""
    read, made, context, threads, rounds = map(int, sys.argv[2:])
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_threads, options.n_threads_batch = context, context, threads, threads
    state = llama_cpp.llama_init_from_model(model, options)
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    prompt, one = (llama_cpp.llama_token * read)(*(3 + at % 300 for at in range(read))), (llama_cpp.llama_token * 1)()
    best: dict[str, float] = {"prompt": 1e9, "token": 1e9}
    for _ in range(rounds):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(state), True)
        began = time.process_time()
        llama_cpp.llama_decode(state, llama_cpp.llama_batch_get_one(prompt, read))
        after = time.process_time()
        for _ in range(made):
            one[0] = int(np.ctypeslib.as_array(llama_cpp.llama_get_logits(state), (size,)).argmax())
            llama_cpp.llama_decode(state, llama_cpp.llama_batch_get_one(one, 1))
        seconds = (time.process_time() - after) / made
        best = {"prompt": min(best["prompt"], after - began), "token": min(best["token"], seconds)}
    print(json.dumps(best))


if __name__ == "__main__":
    main()
