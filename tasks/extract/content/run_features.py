"""What the model knows of each run of a page: its text, its boxes, its neighbours, its like, the page.

Notable:
- Numbers a decision tree can split: counts and shares, never logarithms, so that all of them are exactly rounded and a
  page's text is the same on every machine.
- No word of the text is a feature, only words of the markup: the model is the same in all languages.
- Prose is what most likely is content: closed runs of some words, few of them in links; so are runs beside and like it.
"""

import re
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.extract.content.class_words import CLASS_PATTERNS, ROLES
from tasks.extract.content.text_runs import TAGS, TextRuns
from tasks.extract.content.words import Floats, Ints, RunWords, words_of

_HEAD = 200
"""Characters of a run that are searched for what is in it."""
_DIGIT = re.compile(r"\d")
_UPPER = re.compile("[A-ZÀ-ÞΑ-ΩА-Я]")
_PRICE = re.compile(r"[$€£¥₹]\s?\d|\d\s?(?:€|EUR|USD|zł|kr)")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[:/.]\d{1,2}\b|\bago\b")
_SEPARATOR = re.compile("[|»›·•→/]")
_COMMA = re.compile("[,،、，]")
_SENTENCE = re.compile(r"[.?!]\s|[。？！]")
_ENDS = tuple('.!?。！？…:"”')
_LEVELS = 4
"""Boxes around a run that are measured, from its own on."""
_NEAR = 3
"""Boxes around a run whose classes count."""
_LONG = 25
"""Words of a long run."""
_PROSE_WORDS, _PROSE_LINKS = 8, 0.5
"""Words of prose at least, and the share of their characters in links that it stays below."""
_AROUND_CLASSES: Final = sum(
    1 << CLASS_PATTERNS.index(pattern)
    for pattern in (
        *("nav", "menu", "breadcrumb", "foot", "side", "comment", "repl", "relat", "recommend", "share", "social"),
        *("cookie|consent|gdpr", "modal|popup|dialog|overlay", "ads|advert|sponsor|banner|promo", "pagin|pager"),
        *("newsletter|subscri|signup", "login|signin|register|account", "copyright|legal|disclaimer", "signature"),
        *("cross|upsell|similar|also|more", "widget"),
    )
)
"""Mask of the class patterns of what stands around a page's content."""
_AROUND_ROLES: Final = sum(1 << ROLES.index(role) for role in ("nav", "footer", "aside", "form", "button", "dialog"))
_CORE = 0.8
"""Share of the prose, or of the long runs, that the page's core box holds."""


def run_features(runs: TextRuns, words: RunWords, title: str) -> dict[str, npt.NDArray[np.float32]]:
    """Return the features of a page's runs by name, each [runs], in a fixed order; at least one run is needed."""
    page = _Page(runs, words)
    features: dict[str, npt.ArrayLike] = {}
    features |= page.text_features()
    features |= page.box_features()
    features |= page.like_features()
    features |= page.neighbour_features(title)
    features |= page.page_features()
    features |= page.prose_features()
    features |= page.mark_features()
    return {name: np.asarray(values, np.float32) for name, values in features.items()}


class _Page:
    def __init__(self, runs: TextRuns, words: RunWords) -> None:
        self.runs, self.words = runs, words
        self.n = len(runs.texts)
        self.n_words = words.counts
        self.total = max(int(words.ends[-1]), 1)
        self.chars = np.array([len(text) for text in runs.texts], np.float64)
        self.link_chars = np.minimum(np.array(runs.link_chars, np.float64), self.chars)
        self.links = self.link_chars / self.chars
        self.is_closed = np.array([text.endswith(_ENDS) for text in runs.texts], np.float64)
        self.boxes = np.array(runs.boxes)
        self.parents = np.array(runs.parents)
        self.tags = np.array(runs.tags)
        self.firsts, self.ends = np.array(runs.firsts), np.array(runs.ends)
        self.groups = np.array(runs.groups)
        self.above = self._above()

    def _above(self) -> list[Ints]:
        """Return the boxes around each run, the innermost first; -1 where there are no more."""
        levels = [self.boxes]
        for _ in range(_LEVELS + 1):
            levels.append(np.where(levels[-1] >= 0, self.parents[levels[-1]], -1))
        return levels

    def _in_boxes(self, values: Floats | Ints, level: Ints) -> Floats:
        """Return the sum of a column of runs over each run's box of a level."""
        sums = np.concatenate([np.zeros(1), np.cumsum(values)])
        box = np.maximum(level, 0)
        return sums[self.ends[box]] - sums[self.firsts[box]]

    def text_features(self) -> dict[str, npt.ArrayLike]:
        heads = [text[:_HEAD] for text in self.runs.texts]
        texts, head_chars = self.runs.texts, np.minimum(self.chars, _HEAD)
        self.prices = np.array([_PRICE.search(head) is not None for head in heads])
        self.dates = np.array([_DATE.search(head) is not None for head in heads])
        return {
            "words": self.n_words,
            "chars": self.chars,
            "links": self.links,
            "word_length": self.chars / np.maximum(self.n_words, 1),
            "is_closed": self.is_closed,
            "commas": [len(_COMMA.findall(text)) for text in texts],
            "sentences": [len(_SENTENCE.findall(text)) for text in texts],
            "digits": [len(_DIGIT.findall(head)) for head in heads] / head_chars,
            "capitals": [len(_UPPER.findall(head)) for head in heads] / head_chars,
            "price": self.prices,
            "date": self.dates,
            "separators": [len(_SEPARATOR.findall(head)) for head in heads],
            "copyright": ["©" in head for head in heads],
            "breaks": self.runs.breaks,
            "bold": np.array(self.runs.bold_chars) / self.chars,
        }

    def box_features(self) -> dict[str, npt.ArrayLike]:
        found: dict[str, npt.ArrayLike] = {
            "tag": self.tags[self.boxes],
            "parent_tag": np.where(self.above[1] >= 0, self.tags[self.above[1]], -1),
            "depth": np.array(self.runs.depths)[self.boxes],
            "hidden": np.array(self.runs.hidden)[self.boxes],
            "order": np.array(self.runs.orders)[self.boxes],
        }
        closed = self.is_closed * self.n_words
        ones = np.ones(self.n)
        for number, level in enumerate(self.above[: _LEVELS + 1]):
            n_words = self._in_boxes(self.n_words, level)
            found[f"box{number}_words"] = n_words
            found[f"box{number}_runs"] = self._in_boxes(ones, level)
            found[f"box{number}_links"] = self._in_boxes(self.link_chars, level) / self._in_boxes(self.chars, level)
            found[f"box{number}_closed"] = self._in_boxes(closed, level) / np.maximum(n_words, 1)
            found[f"box{number}_share"] = n_words / self.total
        return found

    def like_features(self) -> dict[str, npt.ArrayLike]:
        """Return what is measured over the runs whose boxes have the same tags and classes up to the root."""
        like = self.like = self.groups[self.boxes]
        n_runs, n_words = np.bincount(like), np.bincount(like, self.n_words)
        closed = np.bincount(like, self.is_closed * self.n_words)
        links, chars = np.bincount(like, self.link_chars), np.bincount(like, self.chars)
        found: dict[str, npt.ArrayLike] = {
            "like_runs": n_runs[like],
            "like_words": n_words[like],
            "like_mean_words": n_words[like] / n_runs[like],
            "like_links": links[like] / chars[like],
            "like_closed": closed[like] / np.maximum(n_words[like], 1),
        }
        self.like_words = n_words
        repeated = np.bincount(self.groups)[self.groups]
        for number, level in enumerate(self.above):
            found[f"repeated{number}"] = np.where(level >= 0, repeated[level], 0)
        return found

    def neighbour_features(self, title: str) -> dict[str, npt.ArrayLike]:
        tags = self.tags[self.boxes]
        found: dict[str, npt.ArrayLike] = {}
        for step in (-3, -2, -1, 1, 2, 3):
            found[f"words{step:+}"] = _shifted(self.n_words, step, 0)
            found[f"links{step:+}"] = _shifted(self.links, step, 1)
            if abs(step) < 3:
                found[f"closed{step:+}"] = _shifted(self.is_closed, step, 0)
                found[f"tag{step:+}"] = _shifted(tags, step, -2)
        for reach in (4, 12):
            found[f"words_within{reach}"] = _within(np.minimum(self.n_words, 100), reach)
            found[f"links_within{reach}"] = _within(self.link_chars, reach) / _within(self.chars, reach)
        places = np.arange(self.n)
        is_heading = (tags >= TAGS["h1"]) & (tags <= TAGS["h6"])
        is_first = tags == TAGS["h1"]
        found["from_heading"] = _since(is_heading, 99)
        found["from_h1"] = _since(is_first, -1)
        found["to_h1"] = (np.argmax(is_first) if is_first.any() else -1) - places
        first_places = {text: place for place, text in reversed(list(enumerate(self.runs.texts)))}
        found["seen"] = [first_places[text] < place for place, text in enumerate(self.runs.texts)]
        of_title = set(words_of(title))
        found["in_title"] = [
            len(of_title.intersection(self.words.words[start:end])) / max(end - start, 1) if end - start <= 50 else 0
            for start, end in zip(self.words.starts.tolist(), self.words.ends.tolist(), strict=True)
        ]
        return found

    def page_features(self) -> dict[str, npt.ArrayLike]:
        places = np.arange(self.n)
        is_long = self.n_words >= _LONG
        page = {
            "page_words": self.total,
            "page_runs": self.n,
            "page_boxes": len(self.parents),
            "page_links": self.link_chars.sum() / self.chars.sum(),
            "page_closed": (self.is_closed * self.n_words).sum() / self.total,
            "page_long": self.n_words[is_long].sum() / self.total,
            "page_prices": self.prices.sum(),
            "page_dates": self.dates.sum(),
        }
        return {
            "place": places,
            "places_left": self.n - places,
            "words_before": self.words.starts,
            "words_after": self.total - self.words.ends,
            "position": self.words.starts / self.total,
            **self._core_features("long", np.where(is_long, self.n_words, 0)),
            **{name: np.full(self.n, value) for name, value in page.items()},
        }

    def prose_features(self) -> dict[str, npt.ArrayLike]:
        """Return how much of each run, its neighbours, its boxes and its like is prose."""
        is_prose = (self.n_words >= _PROSE_WORDS) & (self.is_closed > 0) & (self.links < _PROSE_LINKS)
        words = np.where(is_prose, self.n_words, 0)
        is_around = np.array(self._around_content())[self.boxes]
        found: dict[str, npt.ArrayLike] = {"prose": is_prose, "around": is_around}
        inner = np.where(is_prose & ~is_around, self.n_words, 0)
        found |= self._core_features("inner", inner)
        found["inner_share"] = np.full(self.n, inner.sum() / self.total)
        found["inner_like"] = np.bincount(self.like, inner)[self.like] / np.maximum(self.like_words[self.like], 1)
        found["prose_within4"] = _within(words, 4) / np.maximum(_within(self.n_words, 4), 1)
        found["prose_like"] = np.bincount(self.like, words)[self.like] / np.maximum(self.like_words[self.like], 1)
        for number, level in enumerate(self.above[1 : _LEVELS + 1], 1):
            found[f"prose_box{number}"] = self._in_boxes(words, level) / np.maximum(
                self._in_boxes(self.n_words, level), 1
            )
        places = np.flatnonzero(is_prose)
        first, last = (places[0], places[-1]) if len(places) else (self.n, -1)
        before = np.concatenate([np.zeros(1), np.cumsum(np.where(is_prose, 0, self.n_words))])
        found["from_prose_start"] = np.arange(self.n) - first
        found["from_prose_end"] = np.arange(self.n) - last
        since = np.maximum.accumulate(np.where(is_prose, before[:-1], 0))
        until = np.minimum.accumulate(np.where(is_prose, before[:-1], before[-1])[::-1])[::-1]
        found["words_from_prose"] = before[:-1] - since
        found["words_to_prose"] = until - before[:-1]
        found["prose_share"] = np.full(self.n, words.sum() / self.total)
        return found | self._core_features("prose", words)

    def _around_content(self) -> list[bool]:
        """Return for each box whether it, or one around it, is named as what stands around a page's content."""
        found: list[bool] = []
        for parent, mask, roles in zip(self.runs.parents, self.runs.masks, self.runs.roles, strict=True):
            found.append(bool(mask & _AROUND_CLASSES or roles & _AROUND_ROLES) or (parent >= 0 and found[parent]))
        return found

    def _core_features(self, name: str, words: Floats | Ints) -> dict[str, npt.ArrayLike]:
        """Return where runs stand beside the innermost box that holds most of these words."""
        sums = np.concatenate([np.zeros(1), np.cumsum(words)])
        held = sums[self.ends] - sums[self.firsts]
        core = int(np.flatnonzero(held >= _CORE * held[0])[-1]) if held[0] > 0 else 0
        first, end = self.firsts[core], self.ends[core]
        places = np.arange(self.n)
        n_words = self.words.ends[end - 1] - self.words.starts[first] if end > first else 0
        return {
            f"{name}_core_before": first - places,
            f"{name}_core_after": places - (end - 1),
            f"{name}_core_share": np.full(self.n, n_words / self.total),
            f"{name}_core_dense": np.full(self.n, held[core] / max(n_words, 1)),
        }

    def mark_features(self) -> dict[str, npt.ArrayLike]:
        """Return which class patterns the nearest boxes have, and which roles any box has."""
        near, masks, parents = [], self.runs.masks, self.runs.parents
        for box, mask in zip(self.runs.boxes, self.runs.inline_masks, strict=True):
            place = box
            for _ in range(_NEAR):
                if place >= 0:
                    mask |= masks[place]
                    place = parents[place]
            near.append(mask)
        roles = [self.runs.roles[box] for box in self.runs.boxes]
        names = [*(f"class {pattern}" for pattern in CLASS_PATTERNS), *(f"in {role}" for role in ROLES)]
        return dict(zip(names, [*bits(near, len(CLASS_PATTERNS)), *bits(roles, len(ROLES))], strict=True))


def bits(masks: list[int], n_bits: int) -> npt.NDArray[np.uint8]:
    """Return the bits of masks, [bits, masks]."""
    n_bytes = -(-n_bits // 8)
    packed = np.frombuffer(b"".join(mask.to_bytes(n_bytes, "little") for mask in masks), np.uint8)
    return np.unpackbits(packed.reshape(-1, n_bytes), axis=1, count=n_bits, bitorder="little").T


def _shifted(values: npt.NDArray[np.generic], step: int, fill: float) -> npt.NDArray[np.generic]:
    """Return for each run the value of the one `step` places on."""
    found = np.full_like(values, fill)
    if step > 0:
        found[:-step] = values[step:]
    else:
        found[-step:] = values[:step]
    return found


def _within(values: Floats | Ints, reach: int) -> Floats:
    """Return the sums over the runs up to `reach` places away."""
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    places = np.arange(len(values))
    return sums[np.minimum(places + reach + 1, len(values))] - sums[np.maximum(places - reach, 0)]


def _since(is_mark: npt.NDArray[np.bool_], fill: int) -> Ints:
    """Return how many places ago the last marked run was."""
    places = np.arange(len(is_mark))
    last = np.maximum.accumulate(np.where(is_mark, places, -1))
    return np.where(last >= 0, places - last, fill)
