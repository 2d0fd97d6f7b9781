"""A tokenizer with tokens for tools, over the tiny corpus's words."""

from tokenizers import AddedToken, Tokenizer

from model.data.chat_format import TOOL_TOKENS
from tests.model.tiny_corpus import TinyCorpus


def tool_tokenizer(corpus: TinyCorpus) -> Tokenizer:
    """The corpus's tokenizer, and one more token for each end of calls and results."""
    tokenizer = Tokenizer.from_file(str(corpus.tokenizer))
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TOOL_TOKENS])
    return tokenizer
