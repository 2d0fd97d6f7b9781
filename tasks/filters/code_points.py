"""A text's characters as numbers, for what numpy does faster than Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code point of each character of `text`, lone surrogates among them: [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
