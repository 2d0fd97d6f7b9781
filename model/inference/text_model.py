"""An exported model with its tokenizer: text in, text out, piece by piece."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from model.base.device import best_device, use_threads
from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, Message, load_chat_format
from model.inference.generation import Sampling, generate_stream
from model.inference.loading import load_export
from model.network.transformer import Transformer

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TextModel:
    """A model and its chat format, as chat.py and generate.py use them."""

    def __init__(self, model: Transformer, chat: ChatFormat) -> None:
        self._model, self._chat = model, chat

    def reply(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """Yield the assistant's next message in pieces; if the context is too short, the oldest turns are dropped.

        Raises BadInput if the last message alone leaves no room for a reply.
        """
        remembered = list(messages)
        prompt = self._chat.prompt(remembered)
        while len(prompt) + min(sampling.max_new_tokens, self._model.shape.context // 4) > self._model.shape.context:
            oldest = next((at for at, message in enumerate(remembered[:-1]) if message.role != "system"), None)
            if oldest is None:
                break
            del remembered[oldest]
            prompt = self._chat.prompt(remembered)
        return self._pieces(prompt, sampling)

    def continuation(self, text: str, sampling: Sampling) -> Iterator[str]:
        """Yield the continuation of a document that begins with `text`, in pieces."""
        return self._pieces([self._chat.end_of_text, *self._chat.encode(text)], sampling)

    def _pieces(self, prompt: list[int], sampling: Sampling) -> Iterator[str]:
        ids: list[int] = []
        shown = ""
        for _, token in generate_stream(self._model, [prompt], sampling, self._chat.stop_tokens):
            ids.append(token)
            text = self._chat.decode(ids)
            # A character of several bytes may be split between tokens; it is shown once it is complete.
            if not text.endswith(_UNFINISHED):
                yield text[len(shown) :]
                shown = text
        text = self._chat.decode(ids)
        if text != shown:
            yield text[len(shown) :]


def load_text_model(folder: Path) -> TextModel:
    """Return the model in an export folder, in float32; raises BadInput if its files are none or do not fit."""
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; give a model's export folder")
    use_threads(0)
    chat = load_chat_format(folder / "tokenizer.json")
    model = load_export(folder, torch.float32).to(best_device())
    chat.check_vocabulary(model.shape)
    return TextModel(model, chat)
