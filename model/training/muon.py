"""Muon (Jordan 2024, kellerjordan.github.io/posts/muon): replaces a matrix's momentum by its nearest matrix with
orthonormal rows or columns.

Notable:
- The orthogonal factor comes from five Polar Express steps (arXiv:2505.16932, section 4), which are matrix products
  only; matrices of one shape go through them as a single batch.
- A matrix may be divided, each slice replaced by itself (model/training/muon_slices.py); the update is as large.
- Decay is cautious (arXiv:2510.12402): it takes from the weights alone that the update makes smaller too.
- Under DDP every process holds the same averaged gradient and makes the same update, so nothing is exchanged. Under
  FSDP2 momentum and weights stay sharded, and only the updates are gathered (model/training/muon_shards.py).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from model.training.muon_shards import on_whole_matrices
from model.training.muon_slices import Slices, divided, joined

_POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
"""Coefficients of x, x^3 and x^5 of each step (arXiv:2505.16932, listing 1)."""
_SAFETY = 1.01
"""The paper's margin: keeps rounding in bfloat16 from pushing a singular value beyond the interval of convergence."""


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised; for parameters that are matrices."""

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
        slices: Mapping[nn.Parameter, Slices] | None = None,
    ) -> None:
        """Take matrices, or groups of them; the root mean square of an update is about lr / sqrt(columns).

        Args:
            params: as of any optimizer of torch.
            lr: of a whole matrix, an update's spectral norm is this times sqrt(max(1, rows / columns)).
            momentum: share of it that stays at a step.
            weight_decay: share of the weights per step, times `lr`.
            dtype: of the products that orthogonalise: bfloat16 is several times faster, and as exact as training
                needs; in float32 the losses do not depend on how a step was divided, within 1e-4.
            slices: how matrices are divided; those that are not named stay whole.
        """
        self._dtype = dtype
        self._slices = slices or {}
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[torch.Size, Slices], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape, self._slices.get(parameter, Slices())].append(parameter)
            for (_, slices), parameters in alike.items():
                self._update(parameters, slices, group)

    def _update(self, parameters: list[nn.Parameter], slices: Slices, group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        gradients = [_held_here(parameter.grad) for parameter in parameters if parameter.grad is not None]
        buffers = [_held_here(self.state[parameter]["momentum_buffer"]) for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1.0 - group["momentum"])
        lerped = torch._foreach_lerp(gradients, buffers, group["momentum"])
        updates = torch.stack([update.to(self._dtype) for update in lerped])
        matrices = [_held_here(parameter) for parameter in parameters]
        like = parameters[0]
        rows, columns = like.shape
        whole = partial(_orthogonalise_slices, slices=slices)
        if isinstance(like, DTensor):
            factors = on_whole_matrices(updates, rows, like.device_mesh.get_group(), whole)
        else:
            factors = whole(updates)
        # A slice's orthonormal rows or columns make its mean square 1 / its longer side; a whole matrix's comes to
        # 1 / columns.
        scale = group["lr"] * (max(slices.shape(rows, columns)) / columns) ** 0.5
        factors_held = list(factors.unbind(0))
        if group["weight_decay"]:
            for matrix, factor in zip(matrices, factors_held, strict=True):
                # As numbers and not as bool, with which addcmul_ is slow on a CPU.
                shrinks = torch.mul(matrix, factor).gt_(0)
                matrix.addcmul_(matrix, shrinks, value=-group["lr"] * group["weight_decay"])
        torch._foreach_add_(matrices, factors_held, alpha=-scale)


def _held_here(tensor: Tensor) -> Tensor:
    """Return the tensor, or this process's rows of it if it is sharded; memory is shared."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _orthogonalise_slices(matrices: Tensor, slices: Slices) -> Tensor:
    return joined(orthogonalise(divided(matrices, slices)), slices)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate the orthogonal polar factors U V^T of (N, rows, columns) matrices U S V^T, in the matrices' type.

    Singular values above 1/100 of the matrix's norm come out within 13% of 1.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    current = matrices.transpose(1, 2) if tall else matrices
    norms = torch.linalg.vector_norm(current, dim=(1, 2), keepdim=True, dtype=torch.float32)
    current = current * (norms * _SAFETY + 1e-7).reciprocal().to(current.dtype)
    for linear, cubic, quintic in _POLAR_EXPRESS:
        gram = current @ current.transpose(1, 2)
        polynomial = torch.baddbmm(gram, gram, gram, beta=cubic / _SAFETY**3, alpha=quintic / _SAFETY**5)
        current = torch.baddbmm(current, polynomial, current, beta=linear / _SAFETY, alpha=1.0)
    return current.transpose(1, 2) if tall else current
