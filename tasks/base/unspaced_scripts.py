"""The scripts that are written without spaces between words."""

from typing import Final

UNSPACED_BLOCKS: Final = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Burmese
    (0x1780, 0x1800),  # Khmer
    (0x2E80, 0x2FE0),  # radicals
    (0x3040, 0x3130),  # kana, bopomofo
    (0x31F0, 0x3200),  # more kana
    (0x3400, 0xA000),  # Han
    (0xF900, 0xFB00),  # Han for compatibility
    (0x20000, 0x40000),  # Han of the rare planes
)
"""Code points, from and up to, of the Unicode blocks in which each character counts as a word of its own."""
