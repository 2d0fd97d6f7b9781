"""What a model says in the midst of its training, for its log: `Run.measure`."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from model.data.chat_data import Exchange
from model.data.chat_format import ChatFormat
from model.inference.engine import engine_of
from model.inference.requests import GenerationRequest, SamplingOptions
from model.network.low_rank import without_adapters
from model.network.transformer import Transformer

_MAX_NEW_TOKENS = 48


@torch.no_grad()
def reply_samples(
    chat: ChatFormat, exchanges: Sequence[Exchange], model: Transformer, rank: int, world_size: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the likeliest reply of `model` to the prompts of some exchanges.

    One process yields them; a model that is sharded over several has none.
    """
    if rank or isinstance(model, FSDPModule):
        return
    options = SamplingOptions(max_new_tokens=_MAX_NEW_TOKENS, stop_ids=chat.stop_tokens)
    requests = [GenerationRequest(exchange.prompt, options) for exchange in exchanges]
    replies = engine_of(without_adapters(model)).generate(requests)
    for exchange, made in zip(exchanges, replies, strict=True):
        texts = {"prompt": exchange.prompt, "reply": made.token_ids, "expected": exchange.reply}
        yield "sample", {name: chat.decode(ids) for name, ids in texts.items()}
