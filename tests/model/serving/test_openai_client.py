"""Every endpoint with OpenAI's own client."""

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from model.inference.engine import EngineLimits
from model.inference.requests import SamplingOptions
from model.inference.text_model import load_text_model
from model.serving.settings import ServerSettings
from tests.model.serving.running_server import running

MODEL = "sluice"
QUESTION = [{"role": "user", "content": "What sells Karam?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "river_of",
        "description": "The river on which a town lies.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).object == "model"
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.models.retrieve("gpt-9")


def test_a_conversation_is_answered(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8, temperature=0)
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].finish_reason == "length"
    assert answer.usage and answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_a_stream_gives_the_same_text_as_a_whole_answer(client: OpenAI) -> None:
    for choices in (1, 3):
        asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 24, "seed": 5, "n": choices}
        whole = client.chat.completions.create(**asked)
        stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        texts, reasons, usage = [""] * choices, [""] * choices, None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                reasons[choice.index] += choice.finish_reason or ""
        assert texts == [choice.message.content for choice in whole.choices]
        assert reasons == ["length"] * choices and usage == whole.usage
        assert len(set(texts)) == choices, "each choice has a seed of its own"


def test_a_seed_repeats_an_answer(client: OpenAI) -> None:
    def answered(seed: int | None) -> str | None:
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, seed=seed)
        return answer.choices[0].message.content

    assert answered(7) == answered(7)
    assert len({answered(None) for _ in range(3)}) == 3


def test_a_stop_text_ends_an_answer_and_is_not_shown(client: OpenAI) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 40, "seed": 1}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    assert whole
    stop = whole[10:13]
    for stream in (False, True):
        answer = client.chat.completions.create(**asked, stop=["never", stop], stream=stream)
        choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
        texts = [choice.delta.content if stream else choice.message.content for choice in choices]
        assert "".join(text or "" for text in texts) == whole[: whole.index(stop)]
        assert choices[-1].finish_reason == "stop"


def test_log_probabilities_of_a_conversation(client: OpenAI) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 6, "temperature": 0, "logprobs": True}
    answer = client.chat.completions.create(**asked, top_logprobs=3).choices[0]
    assert answer.logprobs and answer.logprobs.content and len(answer.logprobs.content) == 6
    for token in answer.logprobs.content:
        assert token.logprob == max(other.logprob for other in token.top_logprobs) < 0, "greedy takes the likeliest"
        assert len(token.top_logprobs) == 3
    told = b"".join(bytes(token.bytes or ()) for token in answer.logprobs.content)
    assert told.decode(errors="replace") == answer.message.content
    streamed = client.chat.completions.create(**asked, stream=True)
    pieces = [chunk.choices[0].logprobs for chunk in streamed]
    assert [one.logprob for piece in pieces if piece for one in piece.content or ()] == pytest.approx(
        [one.logprob for one in answer.logprobs.content], abs=1e-4
    )


def test_texts_are_continued(client: OpenAI) -> None:
    asked = {"model": MODEL, "max_tokens": 5, "seed": 3}
    answer = client.completions.create(**asked, prompt=["Karam", "Bovosk sells"], n=2, logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    for choice in answer.choices:
        assert choice.logprobs and choice.logprobs.tokens and len(choice.logprobs.tokens) == 5
        assert all(len(top) == 2 for top in choice.logprobs.top_logprobs or ())
    assert answer.usage and answer.usage.completion_tokens == 20
    alone = client.completions.create(**asked, prompt="Karam")
    assert alone.choices[0].text == answer.choices[0].text, "in company as alone"
    stream = client.completions.create(**asked, prompt="Karam", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == alone.choices[0].text
    assert client.completions.create(**asked, prompt=[5, 6, 7]).choices[0].text


def test_what_open_servers_take_beside_openai(client: OpenAI) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 12, "seed": 1}
    greedy = client.chat.completions.create(**asked, temperature=0).choices[0].message.content
    for extra in ({"top_k": 1}, {"min_p": 1.0}):
        assert client.chat.completions.create(**asked, extra_body=extra).choices[0].message.content == greedy
    client.chat.completions.create(**asked, extra_body={"repetition_penalty": 1.3}, user="me", metadata={"a": "b"})


def test_a_beam_search_is_the_engines(client: OpenAI, babbling: Path) -> None:
    model = load_text_model(babbling, EngineLimits(slots=4))
    found = "".join(model.continuation("Karam", SamplingOptions(num_beams=4, max_new_tokens=12)))
    greedy = "".join(model.continuation("Karam", SamplingOptions(max_new_tokens=12)))
    asked, beams = {"model": MODEL, "prompt": "Karam", "max_tokens": 12}, {"num_beams": 4, "length_penalty": 1.0}
    answer = client.completions.create(**asked, extra_body=beams).choices[0]
    assert answer.text == found != greedy and answer.finish_reason == "length"
    stream = client.completions.create(**asked, extra_body=beams, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == answer.text
    for wrong in ({"temperature": 0.5}, {"n": 2}, {"logprobs": 1}):
        with pytest.raises(openai.BadRequestError, match=f"leave out {next(iter(wrong))}"):
            client.completions.create(**asked, **wrong, extra_body=beams)
    with pytest.raises(openai.BadRequestError, match="9 beams need as many slots, and there are 8"):
        client.completions.create(**asked, extra_body={"num_beams": 9})


def test_a_conversation_that_is_too_long_is_refused_or_shortened(client: OpenAI) -> None:
    turns = [{"role": role, "content": "wordy " * 20} for _ in range(8) for role in ("user", "assistant")]
    asked = {"model": MODEL, "messages": [*turns, *QUESTION], "max_tokens": 4}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked)
    assert refused.value.code == "context_length_exceeded" and "context is 512" in str(refused.value)
    answer = client.chat.completions.with_raw_response.create(**asked, extra_body={"truncation": "auto"})
    assert int(answer.headers["Sluice-Dropped-Messages"]) % 2 == 0
    usage = answer.parse().usage
    assert usage and usage.completion_tokens == 4 and usage.total_tokens <= 512


@pytest.fixture(scope="module")
def caller(calling: Path) -> Iterator[OpenAI]:
    """A client of the model that calls a tool."""
    with (
        running(calling, ServerSettings(port=0)) as server,
        OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0, timeout=60) as one,
    ):
        yield one


@pytest.mark.parametrize("choice", ["auto", {"type": "function", "function": {"name": "river_of"}}])
def test_a_tool_is_called(caller: OpenAI, choice: object) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "tools": [TOOL], "tool_choice": choice, "temperature": 0}
    answer = caller.chat.completions.create(**asked).choices[0]
    assert answer.finish_reason == "tool_calls" and answer.message.content is None
    (call,) = answer.message.tool_calls
    assert call.function.name == "river_of" and json.loads(call.function.arguments) == {"town": "Narsten"}
    pieces = [chunk.choices[0] for chunk in caller.chat.completions.create(**asked, stream=True)]
    (streamed,) = [call for piece in pieces for call in piece.delta.tool_calls or ()]
    assert streamed.function and streamed.function.name == "river_of" and pieces[-1].finish_reason == "tool_calls"
    assert "".join(piece.delta.content or "" for piece in pieces) == ""
    talk = [*QUESTION, answer.message.model_dump(exclude_none=True)]
    talk.append({"role": "tool", "tool_call_id": call.id, "content": "the Kinno"})
    caller.chat.completions.create(model=MODEL, messages=talk, tools=[TOOL], max_tokens=2)


def test_a_call_that_nobody_offered_stays_text(caller: OpenAI) -> None:
    answer = caller.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0).choices[0]
    assert answer.message.tool_calls is None and "river_of" in (answer.message.content or "")


def test_a_model_without_tokens_for_tools_is_offered_none(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"tokenizer\.tools = true"):
        client.chat.completions.create(model=MODEL, messages=QUESTION, tools=[TOOL])
