"""Calls carried out between a model's turns: in a conversation, and for many requests at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import AddedToken

from model.base.errors import BadInput
from model.conversation.conversation import Conversation
from model.data.chat_format import Message, ToolCall, load_chat_format, with_tools
from model.data.conversations import read_conversations
from model.inference.engine import EngineLimits
from model.inference.requests import GenerationRequest, SamplingOptions
from model.inference.text_model import TextModel, load_text_model
from model.inference.tool_calls import generate_with_tools
from model.tools.runner import ToolLimits, ToolRunner
from tests.model.parrot import SHAPE, automaton_export
from tests.model.tiny_corpus import TinyCorpus
from tests.model.tool_tokenizer import tool_tokenizer

CALL = ToolCall("calculator", '{"expression": "37*48"}')
RESULT = Message("tool", "1776")
OPTIONS = SamplingOptions(max_new_tokens=8)


@pytest.fixture(scope="module")
def model(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    """A model that always says `1` and calls the calculator: its call is one token, of a tokenizer made for it."""
    folder = tmp_path_factory.mktemp("calling")
    tokenizer = tool_tokenizer(corpus)
    tokenizer.add_tokens([AddedToken(CALL.text, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    chat = load_chat_format(folder / "tokenizer.json")
    vocabulary = tokenizer.get_vocab()
    call = [vocabulary[token] for token in ("<tool_call>", CALL.text, "</tool_call>")]
    ids = [*chat.encode("1"), *call, chat.end_of_turn]
    following = dict(zip([chat.prompt([])[-1], *ids[:-1]], ids, strict=True))
    shape = SHAPE.__class__(**{**vars(SHAPE), "vocab_size": 512, "context": 512})
    export = automaton_export(folder / "export", folder / "tokenizer.json", following, shape)
    return load_text_model(export, EngineLimits(slots=2))


@pytest.fixture(scope="module")
def tools() -> Iterator[ToolRunner]:
    """The calculator, for one round."""
    with ToolRunner(["calculator"], ToolLimits(rounds=1)) as runner:
        yield runner


def test_a_call_is_carried_out_and_the_model_goes_on(model: TextModel, tools: ToolRunner) -> None:
    reply = TextModel(model.engine, model.chat, tools).reply([Message("user", "37*48?")], OPTIONS)
    assert "".join(reply) == "11"  # what was said before the call, and after the result
    assert reply.turns == [Message("assistant", "1", (CALL,)), RESULT]


def test_the_next_turn_stands_after_the_result(model: TextModel, tools: ToolRunner) -> None:
    asked = with_tools([Message("user", "37*48?")], tools.definitions)
    request = GenerationRequest(tuple(model.chat.prompt(asked)), model.request([0], OPTIONS).options)
    one, other = generate_with_tools(model.engine, model.chat, [request, request], tools)
    assert one == other
    assert one.messages == [Message("assistant", "1", (CALL,)), RESULT]
    whole = model.chat.prompt([*asked, *one.messages])
    assert "\n1776\n" in model.chat.decode(whole)
    assert model.engine.decoder.context > len(whole)


def test_without_tools_a_call_is_the_callers(model: TextModel) -> None:
    reply = model.reply([Message("user", "37*48?")], OPTIONS)
    assert CALL.text in "".join(reply)
    assert reply.turns == []


def test_what_looks_like_a_call_is_text(model: TextModel) -> None:
    assert model.chat.calls_in(model.chat.encode(f"<tool_call>{CALL.text}</tool_call>"))[1] == []


def test_a_conversation_with_calls_is_kept_whole(model: TextModel, tools: ToolRunner, tmp_path: Path) -> None:
    conversation = Conversation(TextModel(model.engine, model.chat, tools), OPTIONS)
    conversation.heard("".join(conversation.ask("37*48?")))
    conversation.save(tmp_path / "saved.jsonl")
    turns = [Message("user", "37*48?"), Message("assistant", "1", (CALL,)), RESULT, Message("assistant", "1")]
    assert conversation.messages == turns
    assert read_conversations(tmp_path / "saved.jsonl") == [turns]


def test_a_model_without_tokens_for_tools_is_refused(model: TextModel, tools: ToolRunner, corpus: TinyCorpus) -> None:
    with pytest.raises(BadInput, match="no tokens for tools"):
        TextModel(model.engine, load_chat_format(corpus.tokenizer), tools)
