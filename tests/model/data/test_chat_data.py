"""Conversations become sequences in which only the assistant's words are targets."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.base.config import LoopConfig, SftSection
from model.base.errors import BadInput
from model.base.learning_config import ConversationSet, ConversationShare
from model.data.chat_data import ChatData, open_chat_data, pack
from model.data.chat_format import ChatFormat, Message, load_chat_format
from model.data.conversations import read_conversations
from model.data.packed_sequences import IGNORED
from model.data.replay import replayed_pieces
from model.data.token_cache import open_token_cache
from tests.model.tiny_corpus import TinyCorpus, write_json

START, END = 1, 2


@pytest.fixture(scope="module")
def chat(corpus: TinyCorpus) -> ChatFormat:
    """The tiny corpus's chat format."""
    return load_chat_format(corpus.tokenizer)


def test_the_mask_covers_what_the_assistant_writes(chat: ChatFormat) -> None:
    messages = [
        Message("system", "Be short."),
        Message("user", "Hi"),
        Message("assistant", " Yes. "),
        Message("user", "Why"),
        Message("assistant", "So."),
    ]
    ids, written = chat.conversation(messages)
    shown = [chat.decode([token]) or {START: "<start>", END: "<end>"}[token] for token in ids]
    assert "".join(shown) == (
        "<start>system\nBe short.<end>\n<start>user\nHi<end>\n<start>assistant\nYes.<end>\n"
        "<start>user\nWhy<end>\n<start>assistant\nSo.<end>\n"
    )
    learnt = "".join(text if marked else "_" for text, marked in zip(shown, written, strict=True))
    assert [part for part in learnt.split("_") if part] == ["Yes.<end>", "So.<end>"]


def test_control_words_in_a_message_stay_text(chat: ChatFormat) -> None:
    ids, _ = chat.conversation([Message("user", "a<|im_end|><|im_start|>assistant\nb")])
    assert (ids.count(START), ids.count(END)) == (1, 1)


def test_a_prompt_ends_where_the_reply_begins(chat: ChatFormat) -> None:
    question = Message("user", "Who?")
    whole, written = chat.conversation([question, Message("assistant", "Me.")])
    prompt = chat.prompt([question])
    assert whole[: len(prompt)] == prompt and written.index(True) == len(prompt)


def test_ids_equal_those_of_the_chat_template(corpus: TinyCorpus, chat: ChatFormat) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(corpus.tokenizer), chat_template=chat.template, eos_token="<|im_end|>"
    )
    messages = [
        Message("user", "  What sells Karam?\n"),
        Message("assistant", "\nKaram sells salt."),
        Message("user", "?"),
    ]
    plain = [{"role": message.role, "content": message.content} for message in messages]
    for prompt, ids in ((True, chat.prompt(messages)), (False, chat.conversation(messages)[0])):
        theirs = tokenizer.apply_chat_template(plain, add_generation_prompt=prompt, tokenize=True, return_dict=True)
        assert theirs["input_ids"] == ids


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": [["a", "b"]],
                "continuing_subword_prefix": "##",
            }
        },
        {"model": {"type": "Unknown"}},
    ],
)
def test_a_tokenizer_that_breaks_its_library_is_explained(
    corpus: TinyCorpus, tmp_path: Path, part: dict[str, object]
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(corpus.tokenizer.read_text()) | part))
    with pytest.raises(BadInput, match=r"the tokenizer .* cannot be read"):
        load_chat_format(path)


def section(path: Path, **fields: Any) -> SftSection:
    """A finetuning config on a file."""
    loop = LoopConfig(steps=1, global_batch_size=2)
    return SftSection(conversations=str(path), loop=loop, **{"held_out_fraction": 0.0, **fields})


def write_chat(path: Path, conversations: list[list[tuple[str, str]]]) -> Path:
    """Writes conversations of (role, content)."""
    lines = [
        json.dumps({"messages": [{"role": role, "content": content} for role, content in one]}) for one in conversations
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_long_conversations_are_cut_or_dropped_and_counted(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_chat(
        tmp_path / "chat.jsonl",
        [
            [("user", "a"), ("assistant", "b")],
            [("user", "a"), ("assistant", "long " * 30)],
            [("user", "long " * 60), ("assistant", "b")],
            [("user", "nobody answers")],
            [("user", "a"), ("assistant", "kept"), ("user", "a"), ("assistant", "long " * 30)],
        ],
    )
    data = open_chat_data(section(path), chat, context=32)
    assert data.facts == {"conversations": 5, "cut": 1, "dropped": 3, "held_out": 0, "sequences": 2}
    for step in range(3):
        batch = data.sequences.batch(step, 0, 1)
        assert (batch.targets != IGNORED).any(axis=1).all(), "every sequence has something to learn"
        assert batch.inputs.shape[1] <= 32


def test_odd_conversations_do_no_harm(tmp_path: Path, chat: ChatFormat) -> None:
    asked, masked = {"role": "user", "content": "a"}, {"role": "assistant", "content": "no", "weight": 0}
    empty, long = masked | {"content": "", "weight": 1}, masked | {"content": "b" * 100_000, "weight": 1}
    path = tmp_path / "chat.jsonl"
    lines = [[asked, masked], [asked, empty], [asked, empty], [asked, long], []]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in lines))
    data = open_chat_data(section(path), chat, context=32)
    assert data.facts["dropped"] == 3, "one whose reply is masked, one without a reply that fits, one without messages"
    (learnt,) = {tuple(row[row != IGNORED].tolist()) for row in data.sequences.batch(0, 0, 1).targets}
    assert set(learnt) == {END}, "an empty reply is its end alone, in each copy"


def test_nothing_to_learn_is_refused(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_chat(tmp_path / "chat.jsonl", [[("user", "hello?")]])
    with pytest.raises(BadInput, match="no conversation in which an assistant says anything"):
        open_chat_data(section(path), chat, context=32)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: a conversation looks like"),
        ('{"text": "a"}', "line 2: a conversation looks like"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "line 2: role must be one of system, user, assistant"),
        ('{"messages": [{"role": "user", "content": 3}]}', "line 2: role must be one of"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    good = '{"messages": [{"role": "user", "content": "a"}]}'
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{good}\n{line}\n")
    with pytest.raises(BadInput, match=message):
        read_conversations(path)


def changed_tokenizer(corpus: TinyCorpus, path: Path, **changes: object) -> Path:
    """The corpus's tokenizer with some of its fields changed."""
    return write_json(path, {**json.loads(corpus.tokenizer.read_text(encoding="utf-8")), **changes})


def test_a_tokenizer_saved_for_batches_cuts_and_fills_nothing(corpus: TinyCorpus, tmp_path: Path) -> None:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    fixed = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None}
    padding = {**fixed, "pad_id": 0, "pad_type_id": 0, "pad_token": "!"}
    path = changed_tokenizer(corpus, tmp_path / "tokenizer.json", truncation=truncation, padding=padding)
    text = "Karam sells salt and Bovosk sells glass."
    for shorter in (text, "a"):
        assert load_chat_format(path).encode(shorter) == load_chat_format(corpus.tokenizer).encode(shorter)


def test_a_tokenizer_with_ids_beyond_the_model_is_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    """However few they are."""
    model = json.loads(corpus.tokenizer.read_text(encoding="utf-8"))["model"]
    model["vocab"]["far"] = 4_000_000_000
    path = changed_tokenizer(corpus, tmp_path / "tokenizer.json", model=model)
    with pytest.raises(BadInput, match=r"the tokenizer has .* ids and the model only"):
        load_chat_format(path).check_vocabulary(1000)


def test_a_file_too_large_for_a_tokenizer_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadInput, match=r"tokenizer\.json has more than 256 MiB, so it is no tokenizer"):
        load_chat_format(path)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40))
def test_packing_loses_and_overfills_nothing(lengths: list[int]) -> None:
    packing = pack(lengths, 20)
    pieces = sorted(zip(packing.starts.tolist(), packing.lengths.tolist(), strict=True))
    starts = [sum(lengths[:at]) for at in range(len(lengths))]
    assert pieces == list(zip(starts, lengths, strict=True))
    filled = [
        int(packing.lengths[first:last].sum())
        for first, last in zip(packing.offsets[:-1], packing.offsets[1:], strict=True)
    ]
    assert max(filled) <= 20 and min(filled) > 0
    assert sum(length <= 10 for length in filled) <= 1, "two sequences that are half empty would have been one"


def learnt_texts(data: ChatData, chat: ChatFormat, steps: int = 1) -> Counter[str]:
    """The replies in the first steps of a batch size that takes all."""
    found: Counter[str] = Counter()
    for step in range(steps):
        for row in data.sequences.batch(step, 0, 1).targets:
            pieces = np.split(row, np.flatnonzero(np.diff(row != IGNORED)) + 1)
            found.update(chat.decode(piece.tolist()) for piece in pieces if piece[0] != IGNORED)
    return found


def test_a_conversation_ends_after_the_last_reply_that_fits(tmp_path: Path, chat: ChatFormat) -> None:
    turns = [turn for number in range(3100) for turn in (("user", f"{number}?"), ("assistant", f"It is {number}."))]
    path = write_chat(tmp_path / "chat.jsonl", [turns])
    assert len(chat.conversation([Message(role, text) for role, text in turns])[0]) > 100_000  # type: ignore[arg-type]
    data = open_chat_data(section(path), chat, context=120)
    batch = data.sequences.batch(0, 0, 1)
    replies = list(learnt_texts(data, chat))
    assert data.facts["cut"] == 1 and len(replies) >= 2
    assert sorted(replies) == [f"It is {number}." for number in range(len(replies))], "each is whole"
    assert batch.tokens_in_step <= 2 * 121


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (({}, {"epochs": 3.0}), {"First.": 4, "Second.": 12}),
        (({"epochs": 0.5}, {"epochs": 0.0}), {"First.": 2}),
        (({"weight": 1.0}, {"weight": 1.0}), {"First.": 4, "Second.": 4}),
        (({"weight": 1.0}, {"weight": 2.0}), {"First.": 2, "Second.": 4}),
    ],
)
def test_sets_are_mixed_by_epochs_or_weights(
    tmp_path: Path, chat: ChatFormat, shares: tuple[dict[str, float], ...], expected: dict[str, int]
) -> None:
    paths = [
        write_chat(tmp_path / f"{reply}jsonl", [[("user", "?"), ("assistant", reply)]] * 4)
        for reply in ("First.", "Second.")
    ]
    first, second = shares
    mixture = (ConversationSet(conversations=str(paths[1]), share=ConversationShare(**second)),)
    config = section(paths[0], share=ConversationShare(**first), mixture=mixture)
    config = replace(config, loop=LoopConfig(steps=1, global_batch_size=1))
    data = open_chat_data(config, chat, context=32)
    found = learnt_texts(data, chat, steps=data.sequences.sequences)
    for name, count in expected.items():
        assert found[name] == pytest.approx(count, abs=1 if "weight" in first else 0)  # the replies' lengths differ
    assert set(found) == set(expected)


def test_held_out_conversations_are_not_trained_on(tmp_path: Path, chat: ChatFormat) -> None:
    conversations = [[("user", "?"), ("assistant", f"{number}.")] for number in range(60)]
    path = write_chat(tmp_path / "chat.jsonl", conversations * 2)
    config = replace(section(path, held_out_fraction=0.3), loop=LoopConfig(steps=1, global_batch_size=1))
    data = open_chat_data(config, chat, context=32)
    assert data.held_out is not None
    trained = learnt_texts(data, chat, steps=data.sequences.sequences)
    scored = data.held_out.batch(0, 0, 1)
    scored_ids = {tuple(row[row != IGNORED]) for row in scored.targets}
    assert data.facts["held_out"] == 120 - sum(trained.values()) and 16 < data.facts["held_out"] < 60
    assert scored_ids and len(scored.targets) == data.held_out.sequences
    assert all(count == 2 for count in trained.values()), "both copies are on one side"


def test_replayed_text_is_pretraining_text_that_is_not_held_out(
    corpus: TinyCorpus, tmp_path: Path, chat: ChatFormat
) -> None:
    path = write_chat(tmp_path / "chat.jsonl", [[("user", "?"), ("assistant", "So it is.")]] * 10)
    cache = open_token_cache(corpus.tokens, corpus.root / "cache")
    _, written = chat.conversation([Message("user", "?"), Message("assistant", "So it is.")])
    data = open_chat_data(section(path, replay=2.0), chat, 32, cache)
    assert data.facts["replayed_tokens"] == 2 * 10 * sum(written)
    training = {cache.document(int(at)).tobytes() for at in np.flatnonzero(~cache.validation)}
    held_out = {cache.document(int(at)).tobytes() for at in np.flatnonzero(cache.validation)} - training
    pieces = replayed_pieces(cache, 300, 32, 0)
    assert sum(len(piece) - 1 for piece in pieces) == 300
    assert all(any(piece.astype(cache.tokens.dtype).tobytes() in text for text in training) for piece in pieces)
    assert held_out, "there is text that must not come"
    assert replayed_pieces(cache, 10**9, 32, 0)[0].tolist() == pieces[0].tolist(), "and it ends with the documents"


def test_a_mixture_has_weights_throughout_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="either every set of conversations has a weight, or none"):
        section(Path("a"), mixture=(ConversationSet(conversations="b", share=ConversationShare(weight=1.0)),))
    with pytest.raises(ValueError, match="a weight or epochs, not both"):
        ConversationShare(weight=1.0, epochs=1.0)
