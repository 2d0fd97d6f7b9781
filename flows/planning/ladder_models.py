"""The models of a ladder: which sizes of a recipe's model are trained on how many tokens, and how.

Notable: batch and learning rates are carried over from the recipe's (flows/planning/learning_rules.py), so what is
tuned for the recipe's model is about right for smaller ones. Models that the corpus is too small for are left out.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from flows.display.numbers import short
from flows.planning.learning_rules import carried_over
from flows.planning.scaled_shape import scaled_shape
from flows.recipe.trial_config import LadderConfig
from model.base.config import PretrainSection
from model.base.config_loading import config_as_json
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters, flop_per_token


@dataclass(frozen=True)
class PlannedLadderModel:
    """One model to train."""

    shape: ModelShape
    tokens_per_parameter: float
    config: dict[str, Any]
    """Its pretrain section, as plain values."""

    @property
    def parameters(self) -> int:
        """All of them, embeddings included."""
        return count_parameters(self.shape).total

    @property
    def name(self) -> str:
        """Its name in a log."""
        return f"{short(self.parameters)} parameters, {self.tokens_per_parameter:g} tokens each"

    @property
    def flop(self) -> float:
        """FLOP of its training."""
        return self.tokens_per_parameter * self.parameters * flop_per_token(self.shape)


def ladder_models(
    section: PretrainSection, ladder: LadderConfig, corpus_targets: int, corpus_sequences: int
) -> tuple[list[PlannedLadderModel], list[str]]:
    """Return the models to train, the cheapest first, and in words those that are left out.

    The packed corpus has `corpus_targets` tokens to learn from in `corpus_sequences` sequences.
    """
    planned, left_out = [], []
    shapes = dict.fromkeys(scaled_shape(section.shape, size) for size in ladder.sizes)
    for shape in shapes:
        for ratio in sorted(set(ladder.tokens_per_parameter)):
            sequences = ratio * count_parameters(shape).total / (corpus_targets / corpus_sequences)
            planned_model = PlannedLadderModel(shape, ratio, _config(section, shape, sequences))
            if sequences > ladder.max_epochs * corpus_sequences:
                left_out.append(f"{planned_model.name}: {sequences / corpus_sequences:.1f} times over the corpus")
            else:
                planned.append(planned_model)
    return sorted(planned, key=lambda planned_model: planned_model.flop), left_out


def _config(section: PretrainSection, shape: ModelShape, sequences: float) -> dict[str, Any]:
    optimizer, batch = carried_over(section.optimizer, section.loop.global_batch_size, section.shape, shape)
    steps = max(1, round(sequences / batch))
    short = cut_to(section, steps)
    micro_batch = 0 if section.loop.micro_batch >= batch else section.loop.micro_batch
    loop = dataclasses.replace(short.loop, global_batch_size=batch, micro_batch=micro_batch)
    return config_as_json(PretrainSection(shape=shape, loop=loop, optimizer=optimizer, schedule=short.schedule))


def cut_to(section: PretrainSection, steps: int) -> PretrainSection:
    """Return a training of so many steps for its held-out loss alone, with its schedule's proportions."""
    loop = dataclasses.replace(
        section.loop, steps=steps, evaluate_every=0, keep_checkpoints=1, max_hours=0.0, patience=0, trackers=()
    )
    warmup = min(steps - 1, round(section.schedule.warmup_steps * steps / section.loop.steps))
    return dataclasses.replace(section, loop=loop, schedule=dataclasses.replace(section.schedule, warmup_steps=warmup))
