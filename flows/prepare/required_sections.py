"""The sections that a recipe must have for what is asked of it: told before a server starts, and by the flow itself."""

from flows.recipe.recipe import Recipe
from model.base.config import PretrainSection
from tasks.base.errors import UsageError


def require_sections(flow: str, recipe: Recipe) -> None:
    """Raise `UsageError` where a recipe lacks what the flow of this name needs."""
    if flow == "ladder":
        require_decoder(recipe)
    elif flow in ("pretrain", "tune") or (flow == "finetune" and not recipe.sft):
        require_pretraining(recipe)


def require_pretraining(recipe: Recipe) -> PretrainSection:
    """Return the recipe's pretraining; `UsageError` where it trains no model."""
    if recipe.pretrain is None:
        raise UsageError(f"The recipe {recipe.name!r} has no section 'pretrain': add one or run `sluice corpus`.")
    return recipe.pretrain


def require_decoder(recipe: Recipe) -> PretrainSection:
    """Return the pretraining whose decoder a ladder scales down; `UsageError` where there is none."""
    pretrain = require_pretraining(recipe)
    if pretrain.objective != "causal":
        raise UsageError("A ladder needs a decoder: set pretrain.objective to causal.")
    if pretrain.init:
        raise UsageError("A ladder's models begin at random, in sizes of their own: set pretrain.init to null.")
    return pretrain
