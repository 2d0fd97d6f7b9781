"""Exports that answer in seconds, and servers of them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from openai import OpenAI
from tokenizers import AddedToken

from model.base.sizes import ModelShape
from model.data.chat_format import load_chat_format
from model.network.transformer import Transformer, initialise
from model.serving.settings import ServerSettings
from tests.model.parrot import automaton_export, write_export
from tests.model.serving.running_server import Running, running
from tests.model.tiny_corpus import TinyCorpus
from tests.model.tool_tokenizer import tool_tokenizer

SHAPE = ModelShape(
    vocab_size=400,
    layers=2,
    hidden_size=32,
    heads=4,
    kv_heads=2,
    intermediate_size=64,
    context=512,
    tied_embeddings=False,
)
ARGUMENTS = ' {"town": "Narsten"}}\n'
CALL = f'\n{{"name": "river_of", "arguments":{ARGUMENTS}'
"""What a model writes between the markers of a call."""


@pytest.fixture(scope="session")
def babbling(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of random weights that never ends a text, so that texts are as long as they may be."""
    model = Transformer(SHAPE)
    initialise(model, 0)
    with torch.no_grad():
        # One coordinate is above zero at every token, and speaks against the ends alone.
        model.embed_tokens.weight[:, 0] = 4
        model.lm_head.weight[:, 0] = 0
        model.lm_head.weight[sorted(load_chat_format(corpus.tokenizer).stop_tokens), 0] = -100
    return write_export(tmp_path_factory.mktemp("babbling") / "export", model, corpus.tokenizer)


@pytest.fixture(scope="session")
def calling(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose model calls one tool, and completes a call that was begun for it."""
    folder = tmp_path_factory.mktemp("calling")
    tokenizer = tool_tokenizer(corpus)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in (CALL, ARGUMENTS)])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    chat = load_chat_format(path)
    names = (CALL, ARGUMENTS, "<tool_call>", "</tool_call>")
    call, arguments, begin, end = (tokenizer.get_vocab()[name] for name in names)
    begun = chat.beginning_of_call("river_of")[0][-1]
    following = {chat.prompt([])[-1]: begin, begin: call, call: end, end: chat.end_of_turn}
    return automaton_export(folder / "export", path, following | {begun: arguments, arguments: end}, SHAPE)


@pytest.fixture(scope="session")
def server(babbling: Path) -> Iterator[Running]:
    """A server of the babbling model with the usual limits."""
    with running(babbling, ServerSettings(port=0)) as one:
        yield one


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[OpenAI]:
    """OpenAI's own client."""
    with OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0, timeout=60) as one:
        yield one


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    """A plain client."""
    with httpx.Client(base_url=server.address, timeout=60) as one:
        yield one
