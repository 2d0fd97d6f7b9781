"""The requests of OpenAI's interface, as far as they are answered here.

Notable:
- What would change the answer and is not done here is refused, never passed over; `_WITHOUT_EFFECT` lists the fields
  that clients send and that change no answer.
- `top_k`, `min_p`, `repetition_penalty`, `num_beams` and `length_penalty` are not OpenAI's; other servers of open
  models or transformers take them by these names.
- Numbers must be numbers and texts texts: nothing is converted.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from model.base.config import MAX_SEED

_WITHOUT_EFFECT = (
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "echo": (False,),
    "suffix": ("",),
    "best_of": (1,),
}
"""Fields that are taken where their value changes nothing."""
_LONGEST_STOP = 256
_MOST_STOPS = 16


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(_Part):
    """What a stream tells beside its pieces."""

    include_usage: bool = False
    """Whether a last chunk counts the tokens."""
    include_obfuscation: bool = False
    """Without effect: nothing is padded here."""


class SamplingRequest(_Part):
    """What both kinds of request have."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)] = 1.0
    num_beams: Annotated[int, Field(ge=1, le=128)] = 1
    length_penalty: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 1.0
    max_tokens: Annotated[int, Field(ge=1, le=1 << 30)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_changes_nothing(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kept = {name: value for name, value in values.items() if name not in _WITHOUT_EFFECT}
        for name, neutral in _NEUTRAL.items():
            value = kept.get(name)
            if value is not None and not any(value == one and type(value) in (type(one), float) for one in neutral):
                raise ValueError(f"{name} other than {json.dumps(neutral[0])} is not supported")
            kept.pop(name, None)
        return kept

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, value: str | list[str] | None) -> str | list[str] | None:
        texts = [value] if isinstance(value, str) else value or []
        if len(texts) > _MOST_STOPS or not all(0 < len(text) <= _LONGEST_STOP for text in texts):
            raise ValueError(f"at most {_MOST_STOPS} texts of 1 to {_LONGEST_STOP} characters")
        return value

    @model_validator(mode="after")
    def _beams_search_one_answer(self) -> "SamplingRequest":
        others = {"temperature": self.temperature or None, "n": None if self.n == 1 else self.n}
        others["repetition_penalty"] = None if self.repetition_penalty == 1 else self.repetition_penalty
        others["logprobs"] = getattr(self, "logprobs", None)
        wrong = [name for name, value in others.items() if value is not None]
        if self.num_beams > 1 and wrong:
            raise ValueError(f"num_beams finds the likeliest answer, without log-probabilities: leave out {wrong[0]}")
        return self

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """The texts at which an answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def includes_usage(self) -> bool:
        """Whether a stream's last chunk counts the tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class TextPart(_Part):
    """A part of a message; only text is read."""

    type: Literal["text"]
    text: str


class FunctionCall(_Part):
    """A call of a function, in a message of the assistant."""

    name: str
    arguments: str


class CallPart(_Part):
    """A call of a tool, in a message of the assistant."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(BaseModel):
    """A message of a conversation; fields that are not read here are what clients send back from our own answers."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[CallPart] | None = None

    @model_validator(mode="after")
    def _has_content(self) -> "ChatMessage":
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is missing")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("only the assistant calls tools")
        return self

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(BaseModel):
    """A function that the model may call; what else describes it is passed on to the model."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Tool(_Part):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Part):
    """A function's name."""

    name: str


class NamedTool(_Part):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(SamplingRequest):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 30)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    """Whether the oldest exchanges are left out where the context is too short; as in OpenAI's Responses."""

    @model_validator(mode="after")
    def _consistent(self) -> "ChatRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise ValueError("tool_choice needs tools")
        names = [tool.function.name for tool in self.tools or ()]
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError("tool_choice names none of the tools")
        return self


TokenIds = Annotated[list[Annotated[int, Field(ge=0, le=1 << 30)]], Field(min_length=1)]


class CompletionRequest(SamplingRequest):
    """The body of /v1/completions."""

    prompt: str | TokenIds | Annotated[list[str], Field(min_length=1)] | Annotated[list[TokenIds], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, one or several."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [[token for token in self.prompt if isinstance(token, int)]]
        return [one for one in self.prompt if not isinstance(one, int)]
