"""Float8 products in the linear layers of the blocks, for GPUs that have units for them.

Notable:
- Of the three products of a linear layer, the forward one takes weights and activations in e4m3, the two backward ones
  the gradient in e5m2, which has the wider range (arXiv:2209.05433, section 3). Each tensor has one scale, from its own
  largest value at the time. Results, master weights and everything between the products stay as they were. Sums inside
  the forward product are those of the hardware's fast mode, as in torchao; those of gradients are float32.
- It is torch.compile that makes the casts cheap: without `loop.compile` they cost more than the products save.
- A pass without gradients, such as an evaluation, and one whose rows are no multiple of 16 use the plain product.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base.errors import BadInput
from model.network.layers import Linear

_MULTIPLE = 16
"""What the hardware's products ask of each side of a matrix."""


def refuse_without_units(device: torch.device) -> None:
    """Raise BadInput if `device` has no float8 units."""
    on_gpu = device.type == "cuda"
    if not on_gpu or torch.cuda.get_device_capability(device) < (8, 9):
        found = torch.cuda.get_device_name(device) if on_gpu else f"the {device.type}"
        raise BadInput(
            f"loop.float8 needs a GPU with float8 units (Ada, Hopper or newer), and {found} has none; set it to false, "
            "which trains in bfloat16"
        )


def use_float8(model: nn.Module) -> None:
    """Make the linear layers of `model` train in float8; raises BadInput if a side is no multiple of 16."""
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            if module.in_features % _MULTIPLE or module.out_features % _MULTIPLE:
                raise BadInput(
                    f"loop.float8 needs sizes that are multiples of {_MULTIPLE}, and {name} is "
                    f"{module.out_features} by {module.in_features}; change the shape, or set loop.float8 to false"
                )
            module.product = float8_linear


def float8_linear(input: Tensor, weight: Tensor) -> Tensor:
    """Compute `F.linear` of bfloat16 (..., inputs) and (outputs, inputs), in float8 where gradients are needed."""
    rows = input.flatten(0, -2)
    if not torch.is_grad_enabled() or len(rows) % _MULTIPLE:
        return F.linear(input, weight)
    product: Tensor = _Float8Product.apply(rows, weight)
    return product.unflatten(0, input.shape[:-1])


class _Float8Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        left, left_scale = _quantised(rows, torch.float8_e4m3fn)
        right, right_scale = _quantised(weight, torch.float8_e4m3fn)
        ctx.save_for_backward(left, left_scale, right, right_scale)
        return _product(left, left_scale, right.t(), right_scale, rows.dtype, fast_sums=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        left, left_scale, right, right_scale = ctx.saved_tensors
        gradient, scale = _quantised(gradients[0].contiguous(), torch.float8_e5m2)
        dtype = gradients[0].dtype
        # The hardware wants the rows of the first factor and the columns of the second one to be contiguous.
        of_rows = _product(gradient, scale, right.t().contiguous().t(), right_scale, dtype)
        of_weight = _product(gradient.t().contiguous(), scale, left.t().contiguous().t(), left_scale, dtype)
        return of_rows, of_weight


def _quantised(tensor: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the tensor in float8, and the float32 scale that restores it."""
    largest = torch.finfo(dtype).max
    wide = tensor.float()
    scale = wide.abs().amax().clamp(min=1e-12) / largest
    return (wide / scale).clamp(-largest, largest).to(dtype), scale


def _product(
    left: Tensor, left_scale: Tensor, right: Tensor, right_scale: Tensor, dtype: torch.dtype, fast_sums: bool = False
) -> Tensor:
    return torch._scaled_mm(
        left, right, scale_a=left_scale, scale_b=right_scale, out_dtype=dtype, use_fast_accum=fast_sums
    )
