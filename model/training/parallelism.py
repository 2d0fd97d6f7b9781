"""How one model is trained by many processes: a copy on each (DDP), or a shard on each (FSDP2).

Notable:
- FSDP2 is torch's `fully_shard`, a unit for each block and one for the rest, so that a tied embedding and head stay one
  parameter.
- Blocks are gathered in the type of the activations, to which their linear layers would cast them anyway, and gradients
  are summed in float32. On a GPU, DDP keeps norm scales in float32, so in bfloat16 the two differ by that rounding.
- Under FSDP2 every pass exchanges its gradient: keeping it would take the memory of the whole model's on each process.
- Both give the losses of a single process, up to the rounding of sums, and read each other's checkpoints.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from model.base.config import LoopConfig
from model.base.errors import BadInput
from model.network.float8 import refuse_without_units, use_float8
from model.objectives.objectives import LanguageModel


def wrap_for_training(
    accelerator: Accelerator,
    model: LanguageModel,
    loop: LoopConfig,
    optimizers_for: Callable[[LanguageModel], list[Optimizer]],
) -> tuple[nn.Module, list[Optimizer]]:
    """Wrap a model, whose weights are the same on every process, for training; return it and its optimizers.

    Raises:
        BadInput: accelerate was launched with its own FSDP, the parallelism excludes the search for a micro-batch, or
            there is no float8 on this device or for this shape.
    """
    if accelerator.distributed_type == DistributedType.FSDP:
        raise BadInput(
            "accelerate was launched with its own FSDP; launch it as for several GPUs (infra/accelerate/gpus.yaml) and "
            "set loop.parallelism to fsdp"
        )
    if loop.float8:
        refuse_without_units(accelerator.device)
        use_float8(model)
    if loop.activation_checkpointing:
        for block in model.blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
    if loop.parallelism == "fsdp" and accelerator.num_processes > 1:
        if loop.micro_batch < 0:
            raise BadInput(
                "loop.micro_batch = -1 searches by running out of memory, which under loop.parallelism = fsdp leaves "
                "the other processes waiting; give a number, or 0"
            )
        _shard(model, accelerator)
        return model, optimizers_for(model)
    prepared = accelerator.prepare(model, *optimizers_for(model))
    # accelerate's wrapper only adds gradient scaling and accumulation, which are not used here.
    return prepared[0], [wrapper.optimizer for wrapper in prepared[1:]]


def accumulating(accelerator: Accelerator, model: nn.Module) -> AbstractContextManager[Any]:
    """Return the context of a pass that is not the last of its step."""
    return nullcontext() if isinstance(model, FSDPModule) else accelerator.no_sync(model)


def clip_gradient(accelerator: Accelerator, model: nn.Module, largest: float) -> Tensor:
    """Scale the gradient down to the norm `largest`; return its norm before, the same on every process."""
    if not isinstance(model, FSDPModule):
        norm: Tensor = accelerator.clip_grad_norm_(model.parameters(), largest)
        return norm
    norm = nn.utils.clip_grad_norm_(model.parameters(), largest)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _shard(model: LanguageModel, accelerator: Accelerator) -> None:
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    gathered = None if model.dtype == torch.float32 else model.dtype
    policy = MixedPrecisionPolicy(param_dtype=gathered, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)
    model.to(accelerator.device)
