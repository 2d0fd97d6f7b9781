"""A cloze task made from held-out pages: which of four words stands in a sentence's gap, by likelihood. Needs no torch.

Notable: the gap is the last long word of a sentence, so that what a model can know of it stands before. The other words
come from gaps of other pages, so the words alone do not give the right one away. The same pages give the same items.
"""

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path

CLOZE = "cloze"
"""What recipes call it among their tasks."""
_TASK = """# Made from held-out pages: the word in a sentence's gap.
task: cloze
output_type: multiple_choice
doc_to_text: text
doc_to_choice: choices
doc_to_target: right
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: bits_per_byte}]
"""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W\d_]{5,}")
_CONTEXT = 300
"""Characters of the page that stand before the gap, at most."""
_LEAST_BEFORE = 30
"""Characters of the sentence before the gap, at least."""
_ITEMS, _OF_A_PAGE, _CHOICES = 200, 2, 4


def write_cloze(texts: Iterable[str], folder: Path, seed: int = 0) -> Path | None:
    """Write the task made from some texts to a folder and return its YAML; None where they have too few sentences."""
    gaps = [gap for text in texts for gap in _gaps(text)[:_OF_A_PAGE]][:_ITEMS]
    words = sorted({word for _, word in gaps})
    if len(words) < _CHOICES:
        return None
    draws, lines = random.Random(seed), []
    for before, word in gaps:
        alike = [other for other in words if other != word and other.istitle() == word.istitle()]
        others = alike if len(alike) >= _CHOICES - 1 else [other for other in words if other != word]
        choices = [word, *draws.sample(others, _CHOICES - 1)]
        draws.shuffle(choices)
        lines.append(json.dumps({"text": before, "choices": choices, "right": word}, ensure_ascii=False) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{CLOZE}.jsonl").write_text("".join(lines), encoding="utf-8", errors="replace")
    (folder / f"{CLOZE}.yaml").write_text(_TASK, encoding="utf-8")
    return folder / f"{CLOZE}.yaml"


def _gaps(text: str) -> list[tuple[str, str]]:
    """Return what stands before each sentence's gap, without the space there, and the word in it."""
    found, start = [], 0
    for sentence in _SENTENCE.split(text):
        start = text.index(sentence, start)
        last = next(reversed(list(_WORD.finditer(sentence))), None)
        if last and last.start() >= _LEAST_BEFORE and sentence[last.start() - 1] == " ":
            end = start + last.start() - 1
            found.append((text[max(0, end - _CONTEXT) : end], last[0]))
        start += len(sentence)
    return found
