"""A model as evaluation tasks need it: texts to ids, logits, greedy replies. Ours, or any causal model's folder that
transformers loads.

Notable:
- Every text begins with the token that a document begins with, as in training: the tokenizer's bos, or without one its
  eos.
- Of a folder from elsewhere only safetensors are read, and none of its code is run.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from model.base.config_loading import json_object
from model.base.device import best_device
from model.base.errors import BadInput
from model.data.chat_format import ChatFormat
from model.inference.engine import EngineLimits, engine_of
from model.inference.requests import GenerationRequest, SamplingOptions
from model.inference.text_stream import TextStream
from model.network.transformer import Transformer


class AskedModel(Protocol):
    """What an evaluation task asks."""

    context: int
    """Tokens that it sees at once."""
    vocab_size: int
    begin: int
    """The token that every text begins with."""
    device: torch.device

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, without special tokens."""

    def logits(self, tokens: Tensor) -> Tensor:
        """Map ids (B, T) to float32 logits (B, T, vocabulary)."""

    def replies(self, prompts: Sequence[list[int]], max_new_tokens: int, stops: Sequence[str]) -> list[str]:
        """Return the likeliest continuation of each prompt up to its end or a stop string, which is left out."""


class OwnModel:
    """A model of ours with its tokenizer; replies come from our engine."""

    def __init__(self, model: Transformer, chat: ChatFormat, batch: int) -> None:
        chat.check_vocabulary(model.shape.vocab_size)
        self._model, self._chat, self._batch = model, chat, batch
        self.context, self.vocab_size, self.begin = model.shape.context, model.shape.vocab_size, chat.end_of_text
        self.device = next(model.parameters()).device
        self.encode = chat.encode

    def logits(self, tokens: Tensor) -> Tensor:
        """Map ids (B, T) to float32 logits (B, T, vocabulary)."""
        found: Tensor = self._model(tokens)
        return found

    def replies(self, prompts: Sequence[list[int]], max_new_tokens: int, stops: Sequence[str]) -> list[str]:
        """Return the likeliest continuation of each prompt; those of `batch` prompts grow together."""
        engine = engine_of(self._model, limits=EngineLimits(slots=self._batch, queue=len(prompts)))
        options = SamplingOptions(max_new_tokens=max_new_tokens, stop_ids=self._chat.stop_tokens)
        ids = [engine.add(GenerationRequest(tuple(prompt), options)) for prompt in prompts]
        streams = {request_id: TextStream(self._chat.decode, stops) for request_id in ids}
        texts = dict.fromkeys(ids, "")
        while engine.has_work:
            for event in engine.step():
                stream = streams[event.request_id]
                if event.shown_id is not None:
                    texts[event.request_id] += stream.push(event.shown_id)
                if event.finish_reason:
                    texts[event.request_id] += stream.finish()
                elif stream.stopped:
                    engine.cancel(event.request_id)
        return [texts[request_id] for request_id in ids]


class TransformersModel:
    """A causal model of any architecture that transformers knows."""

    def __init__(self, folder: Path, dtype: torch.dtype, batch: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer  # takes seconds, and only this needs it

        given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **given)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, **given)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise BadInput(f"{folder} holds no causal language model that transformers loads: {error}") from error
        self.device, self._batch = best_device(), batch
        self._model = model.eval().to(self.device)
        begins = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        begin = next((token for token in begins if token is not None), None)
        if begin is None:
            raise BadInput(f"the tokenizer in {folder} has neither a bos nor an eos token for a text to begin with")
        self.begin: int = begin
        self.context = int(getattr(model.config, "max_position_embeddings", None) or self._tokenizer.model_max_length)
        self.vocab_size = int(model.config.vocab_size)

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, without special tokens."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def logits(self, tokens: Tensor) -> Tensor:
        """Map ids (B, T) to float32 logits (B, T, vocabulary)."""
        found: Tensor = self._model(input_ids=tokens).logits.float()
        return found

    def replies(self, prompts: Sequence[list[int]], max_new_tokens: int, stops: Sequence[str]) -> list[str]:
        """Return the likeliest continuation of each prompt."""
        return [
            text
            for start in range(0, len(prompts), self._batch)
            for text in self._reply(prompts[start : start + self._batch], max_new_tokens, stops)
        ]

    def _reply(self, prompts: Sequence[list[int]], max_new_tokens: int, stops: Sequence[str]) -> Iterator[str]:
        width = max(map(len, prompts))
        rows = torch.full((len(prompts), width), self.begin)
        mask = torch.zeros_like(rows)
        for row, prompt in enumerate(prompts):
            rows[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        made = self._model.generate(
            input_ids=rows.to(self.device),
            attention_mask=mask.to(self.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=self.begin,
        )
        for ids in made[:, width:].tolist():
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
            yield text[: min((at for at in map(text.find, stops) if at >= 0), default=len(text))]


def is_from_elsewhere(folder: Path) -> bool:
    """Return whether a folder holds a model as transformers saves it, and no export of ours."""
    with contextlib.suppress(OSError, ValueError):
        return "model_type" in json_object(folder / "config.json") and not (folder / "export_report.json").exists()
    return False
