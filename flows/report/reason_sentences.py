"""What the reasons for removing a record mean, each in a plain sentence, for readers who know no filter by its name.

Notable: rules of one family differ in a prefix or in the length of an n-gram only, so a sentence stands once for all of
them. The limits are not repeated here: `sluice recipes show` and the samples of removed texts have them.
"""

import re
from types import MappingProxyType
from typing import Final

from tasks.corpus.harm import CATEGORIES

_FAMILIES = re.compile(r"(prose_)?(?:(?:gopher|dclm|c4|fineweb2|fineweb|datatrove)_)?(.+)")
_N_GRAM = re.compile(r"(top|duplicate)_(\d+)_gram")
_IN_PROSE = " Counted in the running text, without lists, tables and code."

_SENTENCES: Final = MappingProxyType(
    {
        # of the filter
        "language": "Most of the text is in a language that is not kept.",
        "language_score": "Too little of the text is clearly in its language.",
        "min_words": "The text has too few words.",
        "max_words": "The text has too many words.",
        "min_mean_word_length": "The words are too short on average.",
        "max_mean_word_length": "The words are too long on average.",
        "hashes": "There are too many hash signs for so few words.",
        "symbols": "There are too many hash signs and ellipses for so few words.",
        "ellipses": "There are too many ellipses for so few words.",
        "bullet_lines": "Nearly all lines begin with a bullet.",
        "ellipsis_lines": "Too many lines end in an ellipsis.",
        "alpha_words": "Too few words have a letter in them.",
        "non_alpha_words": "Too many words have no letter in them.",
        "stop_words": "Hardly any of the language's most common words are there.",
        "stop_word_occurrences": "The language's most common words hardly occur.",
        "duplicate_lines": "Too many lines repeat others.",
        "duplicate_all_lines": "Too many lines, blank ones among them, repeat others.",
        "duplicate_line_chars": "Too much of the text is in repeated lines.",
        "duplicate_all_line_chars": "Too much of the text is in repeated lines, blank ones among them.",
        "duplicate_paragraphs": "Too many paragraphs repeat others.",
        "duplicate_paragraph_chars": "Too much of the text is in repeated paragraphs.",
        "lorem_ipsum": "It has the placeholder text “lorem ipsum”.",
        "curly_bracket": "It has curly brackets, as code does.",
        "sentences": "It has too few sentences.",
        "terminal_lines": "Too few lines end as sentences do.",
        "sentence_lines": "Too few lines end as sentences do.",
        "short_lines": "Too many lines are short, as in menus.",
        "newlines": "There are too many line breaks for so few words.",
        "removed_words": "Cleaning its lines removed too many of its words.",
        "contaminated": "It holds an item that the model is evaluated with.",
        # of the extraction
        "http_status": "The server answered with an error or a redirect.",
        "not_html": "It is no HTML page.",
        "truncated": "The crawler stored only the beginning of the page.",
        "bad_digest": "The stored bytes are not those that were fetched.",
        "empty": "The page has no content.",
        "url_domain": "Its domain is on a list.",
        "url_host": "Its host is on a list.",
        "url_address": "Its address is on a list.",
        "url_hard_word": "A word of its address is on a list.",
        "url_soft_words": "Several words of its address are on a list.",
        "url_subword": "Its address contains a word on a list.",
        "seen": "The same bytes stood earlier in the file.",
        "language_guess": "A quick guess found a language that is not kept; the page was not read further.",
        "too_large": "It is larger than the limit.",
        "robots": "The page asks not to be used so.",
        "extractor_failed": "The extractor could not read the page.",
        "no_text": "Too little text was found in the page.",
        "undecodable": "Its bytes are no readable text.",
        "extraction_score": "The extracted text is probably not what the page says.",
        "page_kind": "Pages of its kind are left out.",
        "extractor_timeout": "Its extraction took too long.",
        "extractor_memory": "Its extraction took too much memory.",
        "extractor_stall": "Its extraction made no progress.",
        "extractor_signal": "Its extraction crashed.",
        "extractor_exit": "Its extraction ended the worker.",
        # of the archive and of documents that exist already
        "damaged_gzip": "The packed record is damaged.",
        "damaged_zstd": "The packed record is damaged.",
        "junk": "There are bytes between the records that are none.",
        "decompression_bomb": "It unpacks to far more than a page does.",
        "clipped": "The file ends inside the record.",
        "bad_record": "The record's header is broken.",
        "wrong_length": "The record is not as long as its header says.",
        "bad_body": "The body is not packed as its header says.",
        "decoding_timeout": "Decoding the body took too long.",
        "bad_row": "The row is not what it should be.",
        "damaged": "The file is damaged from here on.",
        # of the corpus
        "exact_duplicate": "Another document has the same text.",
        "near_duplicate": "Another document has almost the same text.",
        "personal_data": "It holds too much personal data.",
        **{f"harm_{category}": "The lexicon of harm scores it too high." for category in CATEGORIES},
    }
)


def reason_sentence(reason: str) -> str:
    """Return what a reason means; nothing for a rule of the user's own, or a classifier's."""
    if reason in _SENTENCES:
        return _SENTENCES[reason]
    if not (family := _FAMILIES.fullmatch(reason)):
        return ""
    if n_gram := _N_GRAM.fullmatch(family[2]):
        what = "its most frequent sequence" if n_gram[1] == "top" else "repeated sequences"
        sentence = f"Too much of the text is {what} of {n_gram[2]} words."
    else:
        sentence = _SENTENCES.get(family[2], "")
    return sentence + (_IN_PROSE if family[1] and sentence else "")
