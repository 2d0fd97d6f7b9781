"""Training the tokenizer: the same sample and the same file every time, and clear words about a small corpus."""

import os
import random
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers

from model.data import chat_format
from tasks.base.errors import PermanentError
from tasks.base.hashing import UInt64s
from tasks.tokenize.compression import named_tokenizer
from tasks.tokenize.tokenizer_training import (
    SPECIAL_TOKENS,
    TOOL_TOKENS,
    TokenizerConfig,
    bytes_per_token,
    clipped,
    completed,
    encoder,
    sample_documents,
    sample_keys,
    sample_limit,
    sampled_parts,
    train_tokenizer,
    untrained_tokenizer,
)
from tests.conftest import ROOT

CONFIG = TokenizerConfig(vocab_size=600)


def invented_texts(number: int = 400) -> list[str]:
    """Texts of made-up words, by a fixed seed."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abdegiklmnorstuéßжш东", k=rng.randint(2, 8))) for _ in range(500)]
    return [" ".join(rng.choices(words, k=60)) + f".\nIn {rng.randint(1000, 2026)}!" for _ in range(number)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(iter(invented_texts()), CONFIG)


def test_special_tokens_come_first_and_the_vocabulary_is_full(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(place) for place in range(3)] == list(SPECIAL_TOKENS)
    assert tokenizer.get_vocab_size() == 600


def test_a_part_of_a_large_corpus_is_enough_for_the_sample() -> None:
    """Of 90,000 files of 8 MB, 4,096 are read, from all over; a small corpus or one of small files is read whole."""
    config = TokenizerConfig(sample_bytes=2_000_000_000)
    read = sampled_parts([8_000_000] * 90_000, config)
    assert len(read) == 4096 and read == sorted(set(read))
    per_tenth = np.histogram(read, 10, (0, 90_000))[0]
    assert per_tenth.min() > 350 and per_tenth.max() < 470
    assert len(sampled_parts([1_000_000] * 90_000, config)) == 8000
    assert sampled_parts([8_000_000] * 4096, config) == list(range(4096))
    assert sampled_parts([100] * 10_000, config) == list(range(10_000))
    assert sampled_parts([], config) == []


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_file_is_the_same_in_any_order_on_any_threads(tokenizer: Tokenizer, threads: str) -> None:
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "import importlib.util as u; s = u.spec_from_file_location('t', sys.argv[1]); m = u.module_from_spec(s)\n"
        "s.loader.exec_module(m)\n"
        "texts = m.invented_texts()[::-1]\n"
        "sys.stdout.write(m.train_tokenizer(iter(texts), m.CONFIG).to_str(pretty=True))"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, __file__],
        cwd=ROOT,
        env={**os.environ, "RAYON_NUM_THREADS": threads},
        capture_output=True,
        check=True,
    )
    assert again.stdout.decode() == tokenizer.to_str(pretty=True)


def test_digits_stand_alone_and_words_take_the_space_before_them(tokenizer: Tokenizer) -> None:
    pieces = [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("I'm in 1984, \n no?")]
    assert pieces == ["I", "'m", "Ġin", "Ġ", "1", "9", "8", "4", ",", "ĠĊ", "Ġno", "?"]


def test_special_tokens_spelt_out_in_text_stay_text(tokenizer: Tokenizer) -> None:
    text = "a<|im_end|><|endoftext|>b"
    careful = encoder(tokenizer.to_str())
    ids = careful.encode(text, add_special_tokens=False).ids
    assert min(ids) >= len(SPECIAL_TOKENS)
    assert careful.decode(ids) == text


@pytest.mark.parametrize("texts", [[], ["a few words only, a few words"]])
def test_a_corpus_too_small_is_said_in_words(texts: list[str]) -> None:
    with pytest.raises(PermanentError, match=r"vocab_size = 600: lower vocab_size to \d+ or less"):
        train_tokenizer(iter(texts), CONFIG)


def documents(texts: list[str]) -> pa.Table:
    return pa.table({"id": [f"part:{number}" for number in range(len(texts))], "text": texts})


def keys_and_sizes(table: pa.Table, config: TokenizerConfig) -> tuple[UInt64s, npt.NDArray[np.int64]]:
    sizes = np.array([len(text.encode()) for text in clipped(table["text"], config).to_pylist()], dtype=np.int64)
    return sample_keys(table["id"], config), sizes


def sampled(table: pa.Table, config: TokenizerConfig) -> list[str]:
    limit = sample_limit([keys_and_sizes(table, config)], config)
    return sample_documents(table, limit, config).to_pylist()


def test_the_sample_depends_on_the_documents_alone() -> None:
    table = documents(invented_texts(300))
    config = TokenizerConfig(sample_bytes=20_000, max_document_chars=150)
    chosen = sampled(table, config)
    total = sum(len(text.encode()) for text in chosen)
    assert 20_000 <= total < 20_000 + 150 * 4
    assert max(map(len, chosen)) <= 150
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(300)))
    assert sorted(sampled(shuffled, config)) == sorted(chosen)
    assert sorted(sampled(table, TokenizerConfig(sample_bytes=20_000, seed=2))) != sorted(chosen)


def test_the_sample_is_the_same_however_few_documents_are_looked_at_together() -> None:
    table = documents(invented_texts(300))
    config = TokenizerConfig(sample_bytes=2_000)
    tables = [keys_and_sizes(table.slice(start, 7), config) for start in range(0, 300, 7)]
    assert sample_limit(iter(tables), config, at_a_time=10) == sample_limit([keys_and_sizes(table, config)], config)


def test_a_small_corpus_is_sampled_whole() -> None:
    assert len(sampled(documents(invented_texts(20)), TokenizerConfig())) == 20
    assert sampled(documents([]).cast(pa.schema([("id", pa.string()), ("text", pa.string())])), CONFIG) == []


def test_tokens_of_tools_follow_those_of_turns_where_they_are_asked_for(tokenizer: Tokenizer) -> None:
    with_tools = train_tokenizer(iter(invented_texts()), CONFIG.model_copy(update={"tools": True}))
    assert [with_tools.id_to_token(place) for place in range(7)] == [*SPECIAL_TOKENS, *TOOL_TOKENS]
    assert with_tools.get_vocab_size() == 600
    assert tokenizer.token_to_id("<tool_call>") is None
    text = "a<tool_call>b</tool_response>"
    careful = encoder(with_tools.to_str())
    for reader in (careful, named_tokenizer("compared", with_tools.to_str().encode())):
        ids = reader.encode(text, add_special_tokens=False).ids
        assert min(ids) >= 7 and careful.decode(ids) == text
    added = {token.content: token.special for token in with_tools.get_added_tokens_decoder().values()}
    assert added == dict.fromkeys(SPECIAL_TOKENS, True) | dict.fromkeys(TOOL_TOKENS, False)
    call = [3, *careful.encode("{}", add_special_tokens=False).ids, 4, 2]
    assert with_tools.decode(call) == "<tool_call>{}</tool_call>", "what tells a call is no special token"
    assert bytes_per_token(with_tools)[:8].tolist() == [0] * 7 + [1]
    with pytest.raises(ValidationError, match="vocab_size must be at least 263"):
        TokenizerConfig(vocab_size=262, tools=True)


def test_what_stands_around_a_conversations_words_has_tokens_of_its_own(tokenizer: Tokenizer) -> None:
    call = '{"name": "calculator", "arguments": {"expression": "'
    chatty = train_tokenizer(iter(invented_texts()), CONFIG.model_copy(update={"chat_words": True}))
    assert chatty.get_vocab_size() == 600 and chatty.encode("assistant\n").tokens == ["assistant", "\u010a"]
    assert 3 * len(chatty.encode(call).ids) < len(tokenizer.encode(call).ids)
    with pytest.raises(ValidationError, match="chat_words is for a tokenizer that is trained"):
        TokenizerConfig(chat_words=True, path="tokenizer.json")


def test_tokens_names_are_those_of_the_model_half() -> None:
    """The two halves share no code, so here is what keeps their names the same."""
    assert (chat_format.END_OF_TEXT, chat_format.START_OF_TURN, chat_format.END_OF_TURN) == SPECIAL_TOKENS
    assert chat_format.TOOL_TOKENS == TOOL_TOKENS


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.sampled_from([*SPECIAL_TOKENS, "e\u0301 \r\n\t\x00 🙂"])))
def test_the_bytes_of_a_texts_tokens_are_the_texts_bytes(tokenizer: Tokenizer, text: str) -> None:
    sizes = bytes_per_token(tokenizer)
    ids = encoder(tokenizer.to_str()).encode(text, add_special_tokens=False).ids
    assert sizes[ids].sum() == len(text.encode())
    assert sizes[:3].tolist() == [0, 0, 0] and sizes[3:].min() == 1


def another_makers_tokenizer() -> Tokenizer:
    """Byte-level, with one of our special tokens only, and that last."""
    tokenizer = untrained_tokenizer()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        invented_texts(50), trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.enable_truncation(8)
    return tokenizer


def test_another_makers_tokenizer_gets_the_special_tokens_that_it_lacks() -> None:
    own = another_makers_tokenizer()
    found = completed(own.to_str(), TokenizerConfig(vocab_size=303))
    names = [found.id_to_token(number) for number in (300, 301, 302)]
    assert names == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    text = invented_texts(1)[0]
    own.no_truncation()
    assert found.encode(text).ids == own.encode(text).ids
    assert bytes_per_token(found)[found.encode(text).ids].sum() == len(text.encode())
    assert completed(found.to_str(), TokenizerConfig(vocab_size=303)).to_str() == found.to_str()


def test_a_tokenizer_that_cannot_be_used_is_refused_in_words() -> None:
    own = another_makers_tokenizer()
    with pytest.raises(PermanentError, match=r"303 tokens, with <\|im_start\|>, .*_size is 600: set it to 303"):
        completed(own.to_str(), CONFIG)
    own.decoder = decoders.Metaspace()
    with pytest.raises(PermanentError, match="is not byte-level"):
        completed(own.to_str(), CONFIG)
    with pytest.raises(PermanentError, match=r"no tokenizer\.json"):
        completed("{}", CONFIG)
