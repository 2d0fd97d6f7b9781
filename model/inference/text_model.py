"""An exported model with its tokenizer: text in, text out, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.base.device import use_threads
from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, Message, load_chat_format, with_tools
from model.data.context_window import fitting_prompt
from model.inference.engine import Engine, EngineLimits, WeightPrecision, load_engine
from model.inference.requests import GenerationRequest, SamplingOptions, TokenEvent
from model.inference.text_stream import TextStream
from model.inference.tool_calls import next_round, without_calls
from model.tools.runner import ToolRunner


@dataclass
class Reply:
    """A text as the model writes it: iterate over its pieces."""

    pieces: Iterator[str]
    dropped: int = 0
    """Messages at the beginning of the conversation that the model was not shown."""
    tokens: int = 0
    """Tokens made so far."""
    turns: list[Message] = field(default_factory=list)
    """The turns before the last one: the assistant's calls of tools and their results."""
    said_before: int = 0
    """Characters of the text that belong to those turns."""
    stopped: bool = False
    """Whether it was stopped before its end."""

    def __iter__(self) -> Iterator[str]:
        return self.pieces

    def stop(self) -> None:
        """Let the text end after the engine's present step; a signal handler may call it."""
        self.stopped = True


class TextModel:
    """A model and its chat format, as chat.py and generate.py use them."""

    def __init__(self, engine: Engine, chat: ChatFormat, tools: ToolRunner | None = None) -> None:
        if tools and not chat.has_tools:
            raise BadInput("the model has no tokens for tools; one trained with tokenizer.tools = true has")
        self.engine, self.chat, self.tools = engine, chat, tools

    def reply(self, messages: Sequence[Message], options: SamplingOptions) -> Reply:
        """Return the assistant's next message; if the context is too short, the oldest exchanges are dropped.

        With tools, the model is told of them, and its calls are carried out until it answers.

        Raises BadInput if the last exchange alone leaves no room for a reply.
        """
        context = self.engine.decoder.context
        if self.tools:
            messages = with_tools(messages, self.tools.definitions)
        prompt, dropped = fitting_prompt(self.chat, messages, context, options.max_new_tokens)
        return self._reply(prompt, options, dropped)

    def continuation(self, text: str, options: SamplingOptions) -> Reply:
        """Return the continuation of a document that begins with `text`; raises BadInput if it leaves no room."""
        return self._reply(self.chat.document(text), options)

    def request(self, prompt: Sequence[int], options: SamplingOptions) -> GenerationRequest:
        """Return what the engine is asked: to go on until the document or the message is over."""
        return GenerationRequest(tuple(prompt), replace(options, stop_ids=self.chat.stop_tokens))

    def _reply(self, prompt: Sequence[int], options: SamplingOptions, dropped: int = 0) -> Reply:
        request = self.request(prompt, options)
        reply = Reply(iter(()), dropped)
        reply.pieces = self._pieces(request, self.engine.add(request), reply)
        return reply

    def _pieces(self, request: GenerationRequest, request_id: int, reply: Reply) -> Iterator[str]:
        if not self.tools:
            yield from self._turn(request_id, reply, [])
            return
        for rounds_left in range(self.tools.limits.rounds, -1, -1):
            made: list[int] = []
            said = 0
            for piece in without_calls(self._turn(request_id, reply, made)):
                said += len(piece)
                yield piece
            added = None
            if rounds_left and not reply.stopped:
                added = next_round(self.chat, self.tools, request.prompt_ids, made)
            if not added or len(added.prompt) >= self.engine.decoder.context:
                return
            reply.turns += added.messages
            reply.said_before += said
            request = replace(request, prompt_ids=added.prompt)
            request_id = self.engine.add(request)

    def _turn(self, request_id: int, reply: Reply, made: list[int]) -> Iterator[str]:
        """Yield the text of a turn, and add its tokens to `made`."""
        stream = TextStream(self.chat.decode)
        try:
            for event in self._events(request_id, reply):
                reply.tokens += 1
                if event.shown_id is not None:
                    made.append(event.shown_id)
                    yield stream.push(event.shown_id)
            yield stream.finish()
        finally:  # the reader may have had enough
            self.engine.cancel(request_id)
            while self.engine.has_work:
                self.engine.step()

    def _events(self, request_id: int, reply: Reply) -> Iterator[TokenEvent]:
        while not reply.stopped:
            for event in self.engine.step():
                if event.request_id == request_id:
                    yield event
                    if event.finish_reason:
                        return


def load_text_model(folder: Path, limits: EngineLimits, precision: WeightPrecision = "float32") -> TextModel:
    """Return the model in an export folder; raises BadInput if its files are none or do not fit each other."""
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; give a model's export folder")
    use_threads(0)
    chat = load_chat_format(folder / "tokenizer.json")
    engine = load_engine(folder, precision, limits)
    chat.check_vocabulary(engine.decoder.vocab_size)
    return TextModel(engine, chat)
