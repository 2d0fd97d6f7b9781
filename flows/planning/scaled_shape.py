"""Smaller and larger shapes in a given shape's proportions."""

import dataclasses

from model.base.sizes import ModelShape


def scaled_shape(shape: ModelShape, fraction: float) -> ModelShape:
    """Return the shape with `fraction` of its depth and of its heads, and hidden and intermediate sizes to match.

    The size of a head stays, and so, as nearly as possible, does the number of query heads to a key head. The blocks'
    parameters grow with the cube of the fraction.
    """
    if fraction == 1.0:
        return shape
    heads = max(1, round(shape.heads * fraction))
    wanted = max(1, round(heads * shape.kv_heads / shape.heads))
    width = max(2, round(heads * shape.hidden_size / shape.heads))
    multiple = 64 if width >= 512 else 16
    return dataclasses.replace(
        shape,
        layers=max(1, round(shape.layers * fraction)),
        hidden_size=width,
        heads=heads,
        kv_heads=max(count for count in range(1, wanted + 1) if heads % count == 0),
        intermediate_size=max(1, round(width * shape.intermediate_size / shape.hidden_size / multiple)) * multiple,
    )
