"""The stages that train a model one after the other: each starts from the model of the newest one before it.

Notable: to add one, put its name, which is its recipe section's too, in its place in `TRAINING`.
"""

from functools import partial
from typing import Any

from tasks.dataset.stage import Upstream

HELD_OUT = Upstream("tokens", all_parts=True, when=lambda recipe: recipe.needs_corpus)
"""The tokens whose held-out documents a model is scored on, where there is a corpus."""
TRAINING = ("pretrain", "sft", "preference", "rl")


def newest_model(stage: str) -> tuple[Upstream, ...]:
    """Return what `stage` builds on to get a model: the last training before it that the recipe asks for."""
    before = TRAINING[: TRAINING.index(stage)] if stage in TRAINING else TRAINING
    return tuple(Upstream(name, when=partial(_is_last, name, before)) for name in before)


def compared_models() -> tuple[Upstream, ...]:
    """Return the models that an evaluation builds on: the pretrained and the newest one, or those of every stage."""
    pretrained = Upstream(TRAINING[0], when=lambda recipe: recipe.pretrain is not None)
    return pretrained, *(Upstream(name, when=partial(_is_asked, name)) for name in TRAINING[1:])


def _is_asked(name: str, recipe: Any) -> bool:
    return _is_last(name, TRAINING, recipe) or (recipe.evaluate.compare_stages and getattr(recipe, name) is not None)


def _is_last(name: str, stages: tuple[str, ...], recipe: Any) -> bool:
    return name == next((one for one in reversed(stages) if getattr(recipe, one) is not None), None)
