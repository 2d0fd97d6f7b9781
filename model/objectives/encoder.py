"""An encoder: the decoder's blocks, each position seeing its whole document (BERT, arXiv:1810.04805, section 3)."""

from __future__ import annotations

from model.network.transformer import Transformer


class Encoder(Transformer):
    """Reads a text to both sides of each position; trained to name tokens that were masked.

    `forward` is the decoder's, without a cache: logits at each position, or the summed loss of `targets`, which are the
    tokens at the masked positions themselves. `segments` must tell padding apart, since nothing else hides it. A layer
    with a window sees so many positions on either side.
    """

    causal = False
