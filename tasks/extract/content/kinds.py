"""The kinds of pages that are told apart."""

from typing import Final, Literal, get_args

PageKind = Literal["article", "documentation", "forum", "product", "listing", "collection", "service"]
"""What a page is: a collection is a shop's list of products, a listing any other list, a service a company's page."""
PAGE_KINDS: Final[tuple[str, ...]] = get_args(PageKind)
