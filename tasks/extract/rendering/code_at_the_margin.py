"""Blocks of code out of the items of lists, so that each line of code begins where it began in its file.

Notable: in Markdown what belongs to an item is indented. A list is parted where code stands in it, and counts on after
it.
"""

from collections.abc import Iterable

from tasks.extract.rendering.blocks import Block, Code, List


def with_code_at_the_margin(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks with code between lists instead of in them."""
    found: list[Block] = []
    for block in blocks:
        found += _parted(block) if isinstance(block, List) else [block]
    return found


def _parted(block: List) -> list[Block]:
    found: list[Block] = []
    items: list[tuple[Block, ...]] = []
    for place, item in enumerate(block.items):
        blocks = with_code_at_the_margin(item)
        code = next((at for at, inner in enumerate(blocks) if isinstance(inner, Code)), len(blocks))
        items += [tuple(blocks[:code])] if code else []
        if code < len(blocks) or place == len(block.items) - 1:
            start = None if block.start is None else block.start + place + 1 - len(items)
            found += [List(tuple(items), start)] if items else []
            found += blocks[code:]
            items = []
    return found
