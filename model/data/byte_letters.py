"""The letters that byte-level tokenizers write bytes as, in the names of their tokens (GPT-2's table)."""

_SHOWN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that stand for themselves, as characters of Latin-1."""
_OTHERS = [byte for byte in range(0x100) if byte not in _SHOWN]

LETTERS = {byte: chr(byte) for byte in _SHOWN} | {byte: chr(0x100 + at) for at, byte in enumerate(_OTHERS)}
"""Each byte's letter."""
_BYTES = {letter: byte for byte, letter in LETTERS.items()}


def bytes_of(name: str) -> bytes | None:
    """Return the bytes that a token's name stands for; None if it has a character that stands for none."""
    found = [_BYTES.get(letter) for letter in name]
    return None if None in found else bytes(byte for byte in found if byte is not None)
