"""An encoder: the decoder's blocks, each position seeing its whole document (BERT, arXiv:1810.04805, section 3)."""

from __future__ import annotations

from model.network.transformer import Transformer


class Encoder(Transformer):
    """A model that sees both sides of each position and predicts masked tokens.

    `forward` is the decoder's, without a cache: logits at each position, or the summed loss of `targets`, which are the
    tokens at the masked positions themselves. `segments` must separate padding, since nothing else hides it. A layer
    with a window sees that many positions on either side.
    """

    causal = False
