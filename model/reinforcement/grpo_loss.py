"""The loss of GRPO (arXiv:2402.03300, equations 3 and 4) where every reply is of the model that is trained on it.

Notable:
- Replies are used for one step only, as in the paper's experiments. The ratio of new to old probability is then 1, so
  its clipping never acts and is left out; its gradient is that of the log-probability.
- A step's loss is divided by the tokens of all its replies, not reply by reply, so that long ones do not count less a
  token (DAPO, arXiv:2503.14476, section 3.3).
- Replayed text adds its nats, which count as much a token as a reply of advantage 1.
"""

import torch
from torch import Tensor, nn

from model.objectives.loss import Loss


def grpo_loss(kl: float, has_replay: bool = False) -> Loss:
    """Return the loss; `kl` weighs the divergence from the reference.

    Beside the tokens a batch has each reply's advantage (R); with `kl` the reference's nats (R, T); and with replay 1
    where a target is of pretraining text (R, T).
    """

    def sums(
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        segments: Tensor | None,
        advantages: Tensor,
        *further: Tensor,
    ) -> Tensor:
        every = model(inputs, targets, segments, each=True)
        is_text = further[-1] if has_replay else torch.zeros_like(every)
        nats = every * (1 - is_text)
        ratio = torch.exp(nats.detach() - nats)
        is_reply = (targets >= 0) * (1 - is_text)
        loss = -(ratio * advantages.unsqueeze(1) * is_reply).sum() + (every * is_text).sum()
        entropy = nats.detach().sum()
        if not kl:
            return torch.stack([loss, entropy])
        divergence = divergence_of(nats, further[0]).sum()
        return torch.stack([loss + kl * divergence, entropy, divergence.detach()])

    return Loss(sums, ("entropy", "kl") if kl else ("entropy",))


def divergence_of(nats: Tensor, reference: Tensor) -> Tensor:
    """Return the estimate of KL(model || reference) at each token drawn from the model, never below 0.

    `nats` and `reference`: -log p of the token under each. http://joschu.net/blog/kl-approx.html, k3.
    """
    difference = nats - reference
    return torch.expm1(difference) - difference
