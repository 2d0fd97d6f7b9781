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
        """Yield the assistant's next message in pieces; if the context is too short, the oldest exchanges are dropped.

        An exchange is a user's message and all that follows up to the next one, so no answer is left without its
        question. Raises BadInput if the last exchange alone leaves no room for a reply.
        """
        context = self._model.shape.context
        wanted = min(sampling.max_new_tokens, context // 4)
        starts = [at for at, message in enumerate(messages) if message.role == "user"]
        prompt = self._chat.prompt(messages)
        for start in starts[1:]:
            if len(prompt) + wanted <= context:
                break
            scene = [message for message in messages[:start] if message.role == "system"]
            prompt = self._chat.prompt([*scene, *messages[start:]])
        if len(prompt) >= context:
            raise BadInput(
                f"the message has {len(prompt)} tokens with what belongs to it, and the model's context is {context}; "
                "shorten it"
            )
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
    chat.check_vocabulary(model.shape.vocab_size)
    return TextModel(model, chat)
