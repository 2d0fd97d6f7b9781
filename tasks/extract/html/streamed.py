"""Put what a page streams late into its place.

Notable: React's servers, Next.js among them, send a slow part of a page at its end, as `<div hidden id="S:1">`, and a
script puts it where `<template id="B:1">` stands, or `P:1` within such a part. Of 1,255 pages 19 were written so.
"""

from lxml import etree


def place_streamed(tree: etree._Element, templates: list[etree._Element], html: str) -> None:
    """Move the parts of a page that it sends late before the templates that hold their places, and show them."""
    if 'id="S:' not in html:
        return
    late = {name: part for part in tree.iter("div") if (name := part.get("id") or "").startswith("S:")}
    for template in templates:
        kind, _, number = (template.get("id") or "").partition(":")
        part = late.pop(f"S:{number}", None) if kind in ("B", "P") else None
        if part is not None and all(box is not part for box in template.iterancestors()):
            part.attrib.pop("hidden", None)
            template.addprevious(part)
