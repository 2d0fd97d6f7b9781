"""What a ladder came to, as it lies in the store: its models, the law fitted to them, and what it foretold of one.

Notable: found through the runs' records, the newest of the same recipe first, so that the law that a plan uses is the
one that this corpus and this vocabulary gave.
"""

from __future__ import annotations

from flows.planning.scaling_law import ScalingLaw
from flows.run_record import read_run, run_names
from tasks.config import Config
from tasks.store import Store


class LadderPoint(Config):
    """One trained model of a ladder."""

    parameters: int
    """All of them, embeddings included."""
    tokens: int
    """Tokens it was trained on, repeated ones counted each time."""
    loss: float
    """On the held-out documents, nats per token."""


class LawFit(Config):
    """A law and how well it is known."""

    law: ScalingLaw
    points: int
    root_mean_square_residual: float
    """Of the logarithm of the loss: 0.01 is one percent."""
    intervals: dict[str, tuple[float, float]]
    """Where 80% of the resampled fits lie, by the law's constant."""


class LadderModel(LadderPoint):
    """One trained model of the ladder, with its sizes."""

    layers: int
    width: int
    tokens_per_parameter: float
    bits_per_byte: float | None
    """On the held-out documents."""
    flop: float
    """Of its training."""
    fingerprint: str


class LawCheck(Config):
    """The law fitted without the model that took most arithmetic, and that model."""

    fit: LawFit
    held_back: LadderModel
    predicted: float
    """Its loss by the law, nats per token."""

    @property
    def error(self) -> float:
        """Predicted over measured loss, less 1."""
        return self.predicted / self.held_back.loss - 1


class LadderResult(Config):
    """A finished ladder."""

    recipe: str
    crawl: str
    models: tuple[LadderModel, ...]
    left_out: tuple[str, ...]
    """Models that were not trained, and why."""
    fit: LawFit
    check: LawCheck | None
    """None where too few models are left without the largest."""

    @property
    def reach(self) -> float:
        """FLOP of the largest training."""
        return max(model.flop for model in self.models)

    def in_words(self) -> str:
        """What the law rests on and how far it can be trusted."""
        sizes, tokens = [m.parameters for m in self.models], [m.tokens for m in self.models]
        said = (
            f"measured on this corpus by {len(self.models)} models of {min(sizes) / 1e6:.3g}M to"
            f" {max(sizes) / 1e6:.3g}M parameters on {min(tokens) / 1e6:.3g}M to {max(tokens) / 1e6:.3g}M tokens"
        )
        if self.check:
            said += f"; fitted without the largest it foretold its loss to {self.check.error:+.1%}"
        return said


def ladder_path(recipe: str, fingerprint: str) -> str:
    """Where a ladder's result lies in the store."""
    return f"ladders/{recipe}-{fingerprint[:8]}.json"


def newest_ladder(store: Store, recipe: str) -> LadderResult | None:
    """The newest finished ladder of a recipe of this name; None where there is none."""
    for name in reversed(run_names(store)):
        record = read_run(store, name)
        stage = record.stages.get("ladder")
        if stage and record.recipe.get("name") == recipe:
            path = ladder_path(recipe, stage.plan.fingerprint)
            if store.exists(path):
                return LadderResult.model_validate_json(store.read_bytes(path))
    return None
