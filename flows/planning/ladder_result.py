"""The result of a ladder, as stored: its models, the law fitted to them, and its prediction for the largest.

Notable: results are found through the runs' records, the newest of the same recipe first, so a plan uses the law that
was measured on this corpus and vocabulary.
"""

from flows.planning.scaling_law import ScalingLaw
from flows.store.run_record import newest_runs
from tasks.base.config import Config
from tasks.dataset.store import Store

_REACH, _LOOSE_REACH = 1000.0, 10.0
"""Multiples of its largest model's FLOP up to which a law is trusted, and one whose powers are uncertain."""
POWERS = (0.01, 3.0)
"""The range of powers in a fit; a power at either end is not determined by the models."""
_LOOSE_POWER = 0.5
"""Width of a power's interval from which on it is uncertain."""


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
    """The range of 80% of the resampled fits, by the law's constant."""

    @property
    def is_loose(self) -> bool:
        """Whether resampled fits disagree on the powers: the law describes its models but predicts no others."""
        powers = [self.intervals.get(name) for name in ("parameter_power", "token_power")]
        return any(
            each is None or each[1] - each[0] > _LOOSE_POWER or each[0] <= POWERS[0] or each[1] >= POWERS[1]
            for each in powers
        )


class LadderModel(LadderPoint):
    """One trained model of the ladder, with its sizes."""

    layers: int
    hidden_size: int
    tokens_per_parameter: float
    bits_per_byte: float | None
    """On the held-out documents."""
    flop: float
    """Of its training."""
    fingerprint: str


class LawCheck(Config):
    """The law fitted without the model that took the most FLOP, and that model."""

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
        """FLOP up to which the law is preferred to a published one."""
        return max(model.flop for model in self.models) * (_LOOSE_REACH if self.fit.is_loose else _REACH)

    def in_words(self) -> str:
        """Say what the law rests on and how far it can be trusted."""
        sizes, tokens = [m.parameters for m in self.models], [m.tokens for m in self.models]
        said = (
            f"measured on this corpus by {len(self.models)} models of {min(sizes) / 1e6:.3g}M to"
            f" {max(sizes) / 1e6:.3g}M parameters on {min(tokens) / 1e6:.3g}M to {max(tokens) / 1e6:.3g}M tokens"
        )
        if self.check:
            said += f"; fitted without the largest it predicted its loss to {self.check.error:+.1%}"
        if self.fit.is_loose:
            said += (
                "; its powers are hardly determined by them, so it describes these models but predicts no larger ones"
            )
        return said


def ladder_path(recipe: str, fingerprint: str) -> str:
    """Return the path of a ladder's result in the store."""
    return f"ladders/{recipe}-{fingerprint[:8]}.json"


def newest_ladder(store: Store, recipe: str) -> LadderResult | None:
    """Return the newest finished ladder of a recipe of this name; None where there is none."""
    for record in newest_runs(store):
        stage = record.stages.get("ladder")
        if stage and record.recipe.get("name") == recipe:
            path = ladder_path(recipe, stage.plan.fingerprint)
            if store.exists(path):
                return LadderResult.model_validate_json(store.read_bytes(path))
    return None
