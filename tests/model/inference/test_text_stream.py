"""Text as it comes: whole characters, and nothing of a stop string."""

import random

import pytest
from tokenizers import Tokenizer

from model.inference.text_stream import TextStream
from tests.model.tiny_corpus import TinyCorpus

TEXT = "Grüße, naïve café — 你好 🙂🏽 don't stop"


def pieces(decode: object, ids: list[int], *stops: str) -> list[str]:
    """What a stream shows for each token, and at the end."""
    stream = TextStream(decode, stops)  # type: ignore[arg-type]
    return [*(stream.push(token) for token in ids), stream.finish()]


def of_bytes(ids: list[int]) -> str:
    """The text of tokens that are bytes."""
    return bytes(ids).decode(errors="replace")


def test_characters_are_never_split(corpus: TinyCorpus) -> None:
    tokenizer = Tokenizer.from_file(str(corpus.tokenizer))
    shown = pieces(tokenizer.decode, tokenizer.encode(TEXT).ids)
    assert "".join(shown) == TEXT and not any("\ufffd" in piece for piece in shown)
    assert "".join(pieces(of_bytes, list(TEXT.encode()))) == TEXT


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    wrong = [0xFF, 0x41, 0xE2, 0x82, 0x42, 0xC3]
    assert "".join(pieces(of_bytes, wrong)) == bytes(wrong).decode(errors="replace")
    assert len("".join(pieces(of_bytes, [0xFF] * 50)[:-1])) >= 46, "shown before the end"


@pytest.mark.parametrize("stop", ["stop", "🙂", "é —", "don't", "e"])
def test_a_stop_string_ends_the_text_wherever_tokens_part_it(stop: str) -> None:
    data = list(TEXT.encode())
    shown = pieces(of_bytes, data, stop, "never there", "cafeteria")
    assert "".join(shown) == TEXT[: TEXT.index(stop)]
    assert all(TEXT.startswith("".join(shown[:end])) for end in range(len(shown)))


def test_the_first_of_several_stop_strings_counts() -> None:
    draw = random.Random(0)
    for _ in range(200):
        text = "".join(draw.choices("ab", k=12))
        stops = ["".join(draw.choices("ab", k=draw.randrange(1, 5))) for _ in range(3)]
        # A stream stops at the token that completes a stop string, even if a longer one began before it.
        first = min((text.index(stop) + len(stop) for stop in stops if stop in text), default=None)
        whole = "".join(pieces(of_bytes, list(text.encode()), *stops))
        expected = text if first is None else text[: min(text[:first].index(s) for s in stops if s in text[:first])]
        assert whole == expected, (text, stops)
