"""MinHash signatures, and the band keys that bring near-duplicates together.

Notable: a text is normalised as datatrove does today (lower case, each run of digits one "0", punctuation to a space,
accents off), and its shingles are hashed by words: each word once, then five neighbours combined in numpy, so that no
shingle is ever built as a string. datasketch's permutation scheme is pinned by name, because its default changed once
between versions. Bands and rows follow FineWeb (arXiv 2406.17557, section 3.4): 14 x 8 permutations of 5-word shingles.
"""

import operator
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.base.config import Config
from tasks.base.hashing import UInt64s, hash_strings, mix64
from tasks.base.normalization import normalize
from tasks.base.unspaced_scripts import UNSPACED_BLOCKS

UInt32s = npt.NDArray[np.uint32]

NO_KEY = np.uint64(0)
"""The band key of a document without a signature; no real key takes this value."""
NO_HASH = np.uint32(0xFFFFFFFF)
"""The filler of a missing signature."""

_SCHEME = "affine32"
_SHINGLES_A_PIECE = 8192
_SHINGLE_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_UNSPACED = re.compile(f"([{''.join(f'{chr(first)}-{chr(end - 1)}' for first, end in UNSPACED_BLOCKS)}])")
_ZEROS = re.compile("00+")


class MinHashConfig(Config):
    """How similar two texts must be to meet: P(meet) = 1 - (1 - s^rows)^bands at Jaccard similarity s of shingles."""

    bands: int = Field(default=14, ge=1, le=256)
    """Number of bands; documents that agree in all rows of any one band are candidates."""
    rows: int = Field(default=8, ge=1, le=64)
    """Permutations in a band. With 14 x 8: 56% at similarity 0.70, 92% at 0.80, 98.8% at 0.85."""
    shingle_words: int = Field(default=5, ge=1)
    """Words in a shingle; a text with fewer words has no signature and no near-duplicates."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of the permutations; signatures of different seeds cannot be compared."""

    @property
    def permutations(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows


class _Fold(dict[int, str]):
    """A `str.translate` table, filled as characters are met: a scan of all of Unicode takes too long."""

    def __missing__(self, codepoint: int) -> str:
        category = unicodedata.category(chr(codepoint))
        if category in ("Mn", "Cf"):
            folded = ""
        elif category == "Nd":
            folded = "0"
        elif category[0] in "PSCZ":
            folded = " "
        else:
            folded = chr(codepoint)
        self[codepoint] = folded
        return folded


_FOLD = _Fold()


def normalised_words(text: str) -> list[str]:
    """Return the words to compare: lower case, without accents and punctuation, each number "0".

    A character of a script that is written without spaces is a word of its own.
    """
    folded = text.lower()
    if not folded.isascii():
        folded = normalize("NFD", folded)
        folded = _UNSPACED.sub(r" \1 ", folded)
    return _ZEROS.sub("0", folded.translate(_FOLD)).split()


def shingle_hashes(words: Sequence[str], config: MinHashConfig) -> UInt32s:
    """Return the hash of each run of `shingle_words` words, [max(0, n_words - shingle_words + 1)]."""
    count = len(words) - config.shingle_words + 1
    if count < 1:
        return np.empty(0, dtype=np.uint32)
    hashes = hash_strings(list(words))
    combined = hashes[:count]
    for offset in range(1, config.shingle_words):
        combined = combined * _SHINGLE_MULTIPLIER + hashes[offset : offset + count]
    return (mix64(combined) >> np.uint64(32)).astype(np.uint32)


def _pieces(texts: Sequence[str], config: MinHashConfig, owners: list[int]) -> Iterator[list[int]]:
    """Yield lists of shingle hashes, short enough for their permutations to fit the cache; `owners` gets their rows."""
    for row, text in enumerate(texts):
        hashes = shingle_hashes(normalised_words(text), config)
        for start in range(0, len(hashes), _SHINGLES_A_PIECE):
            owners.append(row)
            yield hashes[start : start + _SHINGLES_A_PIECE].tolist()


def signatures(texts: Sequence[str], config: MinHashConfig) -> UInt32s:
    """Return the MinHash signature of each text, [n, permutations]; a row of `NO_HASH` where the text is too short."""
    from datasketch import MinHash  # half a second, which a command that only reads a recipe should not wait for

    result = np.full((len(texts), config.permutations), NO_HASH, dtype=np.uint32)
    owners: list[int] = []
    sketches = MinHash.generator(
        _pieces(texts, config, owners),
        num_perm=config.permutations,
        seed=config.seed,
        hashfunc=operator.index,
        scheme=_SCHEME,
    )
    for sketch in sketches:
        row = result[owners[-1]]
        np.minimum(row, sketch.hashvalues, out=row)
    return result


def has_signature(signature: UInt32s) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows of [n, permutations] that are signatures at all, [n]."""
    return np.any(signature != NO_HASH, axis=1)


def band_keys(signature: UInt32s, config: MinHashConfig) -> UInt64s:
    """Return one key for each band of each signature, [n, bands]; `NO_KEY` where there is no signature.

    The number of the band goes into its key, so keys of all bands may lie in one column. Among 10^9 keys of 64 bits,
    0.03 pairs are expected to collide.
    """
    bands = signature.reshape(len(signature), config.bands, config.rows)
    keys = np.broadcast_to(np.arange(config.bands, dtype=np.uint64), bands.shape[:2])
    for row in range(config.rows):
        keys = mix64(keys ^ bands[:, :, row])
    keys = np.maximum(keys, np.uint64(1))
    return np.where(has_signature(signature)[:, None], keys, NO_KEY)


def sketches(signature: UInt32s) -> npt.NDArray[np.uint8]:
    """Return the lowest byte of each hash, [n, permutations]: a quarter of the memory, enough to compare two texts.

    The b-bit minwise hashing of Li and König (2010), with b = 8.
    """
    return (signature & np.uint32(0xFF)).astype(np.uint8)


def estimated_similarity(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the estimated Jaccard similarity of sketches row by row, [n], corrected for bytes that agree by chance.

    Its standard error is about sqrt(s (1 - s) / permutations): 0.04 at s = 0.7 with 112 permutations.
    """
    chance = 1.0 / 256.0
    agreement = np.mean(left == right, axis=1)
    return np.maximum(0.0, (agreement - chance) / (1.0 - chance))


def signatures_table(documents: pa.Table, config: MinHashConfig) -> pa.Table:
    """Return the columns `id text_hash n_chars bands sketch` of documents with `id text text_hash`, row by row.

    n_chars counts code points. bands (list<uint64>) and sketch (binary, a byte a permutation) are null where the text
    is too short for a shingle.
    """
    signature = signatures(documents["text"].to_pylist(), config)
    absent = ~has_signature(signature)
    keys = band_keys(signature, config)
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * np.int32(config.bands)
    mask = pa.array(absent)
    packed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(config.permutations), len(signature), [None, pa.py_buffer(sketches(signature).tobytes())]
    )
    return pa.table(
        {
            "id": documents["id"],
            "text_hash": documents["text_hash"],
            "n_chars": pc.cast(pc.utf8_length(documents["text"]), pa.int64()),
            "bands": pa.ListArray.from_arrays(pa.array(offsets), pa.array(keys.reshape(-1)), mask=mask),
            "sketch": pc.if_else(mask, None, packed.cast(pa.binary())),
        }
    )
