"""An export folder whose model says one thing, whatever it is asked: for tests of what becomes of a model's words."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from model.base.sizes import ModelShape
from model.data.byte_letters import LETTERS
from model.data.chat_format import load_chat_format
from model.inference.loading import exported_weights
from model.inference.transformers_config import transformers_config
from model.network.transformer import Transformer, initialise

SHAPE = ModelShape(
    vocab_size=384,
    layers=1,
    hidden_size=64,
    heads=2,
    kv_heads=1,
    intermediate_size=64,
    context=64,
    tied_embeddings=False,
)


def write_export(folder: Path, model: Transformer, tokenizer: Path) -> Path:
    """Write a model as an export folder, as far as our own programs read it, and return the folder."""
    folder.mkdir(parents=True)
    save_file(exported_weights(model, torch.float32), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(transformers_config(model.shape)))
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    return folder


def parrot_export(folder: Path, tokenizer: Path, said: str) -> Path:
    """Write a model that answers with `said`, in which no byte may occur twice, and return its folder."""
    chat = load_chat_format(tokenizer)
    spoken = [_token_of_byte(tokenizer, byte) for byte in said.encode()]
    before = [chat.prompt([])[-1], *spoken]
    return automaton_export(folder, tokenizer, dict(zip(before, [*spoken, chat.end_of_turn], strict=True)))


def scribbler_export(folder: Path, tokenizer: Path, letters: str, shape: ModelShape = SHAPE) -> Path:
    """Write a model that answers with some of these letters, as they are drawn, and return its folder."""
    chat = load_chat_format(tokenizer)
    spoken = [_token_of_byte(tokenizer, byte) for byte in letters.encode()]
    drawn = [(before, after) for before in (chat.prompt([])[-1], *spoken) for after in spoken]
    return _export(folder, tokenizer, [*drawn, *((letter, chat.end_of_turn) for letter in spoken)], shape)


def automaton_export(folder: Path, tokenizer: Path, following: Mapping[int, int], shape: ModelShape = SHAPE) -> Path:
    """Write a model in which one token always follows another, and return its folder."""
    return _export(folder, tokenizer, following.items(), shape)


@torch.no_grad()
def _export(folder: Path, tokenizer: Path, following: Iterable[tuple[int, int]], shape: ModelShape) -> Path:
    """Write a model in which any token may follow another that is paired with it, all with equal chances."""
    model = Transformer(shape)
    initialise(model, 0)
    # With the blocks writing nothing, a token's logits are those of its own embedding.
    model.lm_head.weight.zero_()
    for token, follower in following:
        model.lm_head.weight[follower] += model.embed_tokens.weight[token]
    return write_export(folder, model, tokenizer)


def _token_of_byte(tokenizer: Path, byte: int) -> int:
    """The token of one byte."""
    found = Tokenizer.from_file(str(tokenizer)).token_to_id(LETTERS[byte])
    assert found is not None
    return found
