"""From a request to what the engine is asked."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.base.config import MAX_SEED
from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, Message, Role, ToolCall, with_tools
from model.data.context_window import fitting_prompt
from model.inference.requests import GenerationRequest, SamplingOptions
from model.serving.openai_api.errors import bad_request
from model.serving.openai_api.requests import ChatMessage, ChatRequest, CompletionRequest, NamedTool, SamplingRequest

_COMPLETION_TOKENS = 16
"""OpenAI's default length of a completion."""


@dataclass(frozen=True)
class ServedModel:
    """The model that answers, as far as requests are about it."""

    name: str
    chat: ChatFormat
    vocab_size: int
    context: int
    """Tokens of prompt and answer together."""
    max_new_tokens: int
    """Longest answer, whatever is asked for."""
    max_choices: int
    """Most answers to one request."""


@dataclass(frozen=True)
class Asked:
    """What the engine is asked, and how its answers are to be read."""

    requests: tuple[GenerationRequest, ...]
    """One for each choice; those of a prompt follow each other."""
    stop_texts: tuple[str, ...]
    begun: str = ""
    """Text that begins each answer, since the prompt ends with it."""
    reads_calls: bool = False
    """Whether calls of tools are to be found in the answers."""
    dropped: int = 0
    """Messages at the beginning of the conversation that were left out."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts; one that several choices share counts once."""
        return sum(len(prompt) for prompt in dict.fromkeys(request.prompt_ids for request in self.requests))


def chat_prompt(request: ChatRequest, model: ServedModel) -> Asked:
    """Return what a chat request asks of the engine; raises ApiError if it cannot be answered."""
    tools = [] if request.tool_choice == "none" else [tool.model_dump() for tool in request.tools or ()]
    if tools and not model.chat.has_tools:
        message = "This model has no tokens for tools; one trained with tokenizer.tools = true has."
        raise bad_request(message, "tools", "unsupported_value")
    messages = with_tools([_message(message) for message in request.messages], tools)
    limit = min(request.max_completion_tokens or request.max_tokens or model.max_new_tokens, model.max_new_tokens)
    try:
        if request.truncation == "auto":
            prompt, dropped = fitting_prompt(model.chat, messages, model.context, limit)
        else:
            prompt, dropped = model.chat.prompt(messages), 0
    except BadInput as error:
        raise bad_request(str(error), "messages") from error
    begun = ""
    if tools and request.tool_choice not in (None, "auto"):
        name = request.tool_choice.function.name if isinstance(request.tool_choice, NamedTool) else None
        ids, begun = model.chat.beginning_of_call(name)
        prompt = [*prompt, *ids]
    top = (request.top_logprobs or 0) if request.logprobs else None
    requests = _requests(request, model, [prompt], limit, top, "messages")
    return Asked(requests, request.stop_texts, begun, bool(tools), dropped)


def completion_prompts(request: CompletionRequest, model: ServedModel) -> Asked:
    """Return what a completion request asks of the engine; raises ApiError if it cannot be answered."""
    prompts = []
    for prompt in request.prompts:
        if isinstance(prompt, str):
            prompts.append(model.chat.document(prompt))
        elif max(prompt) < model.vocab_size:
            prompts.append(prompt)
        else:
            raise bad_request(f"Tokens of this model are below {model.vocab_size}.", "prompt")
    limit = min(request.max_tokens or _COMPLETION_TOKENS, model.max_new_tokens)
    requests = _requests(request, model, prompts, limit, request.logprobs, "prompt")
    return Asked(requests, request.stop_texts)


def _requests(
    request: SamplingRequest,
    model: ServedModel,
    prompts: Sequence[Sequence[int]],
    limit: int,
    n_logprobs: int | None,
    param: str,
) -> tuple[GenerationRequest, ...]:
    choices = request.n or 1
    if len(prompts) * choices > model.max_choices:
        raise bad_request(f"At most {model.max_choices} answers (prompts times n) can be asked for at once.", "n")
    for prompt in prompts:
        if len(prompt) >= model.context:
            raise bad_request(
                f"The prompt has {len(prompt)} tokens and leaves no room for an answer: this model's context is "
                f"{model.context} tokens. Shorten it.",
                param,
                "context_length_exceeded",
            )
    usual = 1.0 if request.num_beams == 1 else 0.0
    options = SamplingOptions(
        temperature=usual if request.temperature is None else request.temperature,
        top_k=request.top_k,
        top_p=1.0 if request.top_p is None else request.top_p,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        max_new_tokens=limit,
        seed=secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed,
        stop_ids=model.chat.stop_tokens,
        n_logprobs=n_logprobs,
        num_beams=request.num_beams,
        length_penalty=request.length_penalty,
    )
    return tuple(
        GenerationRequest(tuple(prompt), replace(options, seed=(options.seed + choice) % (MAX_SEED + 1)))
        for prompt in prompts
        for choice in range(choices)
    )


def _message(message: ChatMessage) -> Message:
    role: Role = "system" if message.role == "developer" else message.role
    calls = [ToolCall(call.function.name, _arguments(call.function.arguments)) for call in message.tool_calls or ()]
    return Message(role, message.text, tuple(calls))


def _arguments(text: str) -> str:
    """Return the arguments of a call that is sent back, which must be JSON to stand in the conversation as such."""
    try:
        value: Any = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise bad_request("The arguments of a tool call are not JSON.", "messages") from error
    if not isinstance(value, dict):
        raise bad_request("The arguments of a tool call are not a JSON object.", "messages")
    return text or "{}"
