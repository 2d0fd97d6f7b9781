"""The training section of `sluice plan`: from a budget, or from the recipe as it stands, to a model and what it takes.

Notable: every number has its source. A scaling law decides what a budget buys; the recipe's proportions, vocabulary and
context are kept.
"""

import math
from dataclasses import dataclass
from typing import Any

from flows.planning.ladder_result import LadderResult, newest_ladder
from flows.planning.learning_rules import LearningRates, learning_rules
from flows.planning.memory import MemoryFit, memory_fits
from flows.planning.scaling_law import PUBLISHED_LAWS, Allocation, ScalingLaw, allocation_at_ratio, best_allocation
from flows.planning.token_yield import WarcsNeeded, token_yield, warcs_needed
from flows.planning.training_budget import TrainingBudget
from flows.planning.training_speed import measured_speed
from flows.recipe.recipe import Recipe
from model.base.config import PretrainSection
from model.base.sizes import ModelShape, sizes_of_depth
from model.metrics.flops import attention_flop_per_token, count_parameters, flop_per_token
from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store
from tasks.tokenize.tokenizer_training import TokenizerConfig

_USUAL_DEPTH = 12


class LawOutcome(Config):
    """What one law makes of the budget."""

    law: ScalingLaw
    parameters: int
    tokens: int
    loss: float | None
    """Nats per token; None outside the range that the law is trusted in, and where it gives no less than guessing."""


class TrainingPlan(Config):
    """A model, its training, and the cost."""

    asked: str
    shape: ModelShape
    parameters: int
    tokens: int
    """Tokens trained on, repeated ones counted each time."""
    steps: int
    learning: LearningRates
    flop: float
    attention_share: float
    """Of the FLOP."""
    outcomes: tuple[LawOutcome, ...]
    """By law, the deciding one first."""
    hardware: str
    seconds: float | None
    """Of training; None where no speed is known."""
    usd: float | None
    memory: tuple[MemoryFit, ...]
    """By way of training; without a GPU, what each would take."""
    memory_bytes: int | None
    """Of one GPU."""
    tokens_available: int | None
    """Different tokens that are in the store."""
    needed: WarcsNeeded | None
    """To fetch for the tokens; None where the recipe decides what is fetched."""
    basis: dict[str, str]
    """Where each number comes from, by field."""


def plan_training(recipe: Recipe, store: Store, budget: TrainingBudget) -> TrainingPlan | None:
    """Plan a training; None if there is neither a budget nor a decoder in the recipe.

    Raises `UsageError` for a GPU that is not known, `PermanentError` where a ladder is asked for and there is none.
    """
    is_decoder = recipe.pretrain is not None and recipe.pretrain.objective == "causal"
    if not budget.is_given and not is_decoder:
        return None
    ladder = newest_ladder(store, recipe.name)
    if budget.is_given:
        training = _bought(recipe, budget, ladder)
    else:
        assert recipe.pretrain
        allocation, learning = _as_it_stands(recipe.pretrain)
        law = _deciding_law(ladder, budget, allocation.tokens * flop_per_token(allocation.shape))
        mfu = budget.reached_mfu(count_parameters(allocation.shape).total)
        training = _Training(law, allocation, learning, recipe.pretrain.loop.steps, mfu)
    return _plan(recipe, store, budget, ladder, training)


@dataclass(frozen=True)
class _Training:
    law: ScalingLaw
    allocation: Allocation
    learning: LearningRates
    steps: int
    mfu: tuple[float, str]
    """Share of a GPU's peak that is reached, and how that is known."""


def _bought(recipe: Recipe, budget: TrainingBudget, ladder: LadderResult | None) -> _Training:
    """Return the training that a budget buys: hours buy as many FLOP as a model of about that size gets done."""
    size = 0
    for _ in range(2):
        mfu = budget.reached_mfu(size)
        flop = budget.amount(mfu[0])
        law = _deciding_law(ladder, budget, flop)
        allocation = _allocation(_proportions(recipe), law, budget, flop)
        size = count_parameters(allocation.shape).total
    learning = learning_rules(allocation.shape, budget.gpus)
    return _Training(law, allocation, learning, max(1, allocation.tokens // learning.batch_tokens), mfu)


def _plan(
    recipe: Recipe, store: Store, budget: TrainingBudget, ladder: LadderResult | None, training: _Training
) -> TrainingPlan:
    shape, tokens, learning = training.allocation.shape, training.allocation.tokens, training.learning
    flop, found = tokens * flop_per_token(shape), token_yield(store, recipe)
    seconds, hardware = _time(store, recipe, budget, flop, training.mfu)
    usd, price = _cost(budget, seconds)
    memory_bytes = budget.hardware.memory_bytes if budget.hardware else None
    optimizer = recipe.pretrain.optimizer.name if recipe.pretrain else "muon"
    return TrainingPlan(
        asked=budget.in_words(),
        shape=shape,
        parameters=count_parameters(shape).total,
        tokens=tokens,
        steps=training.steps,
        learning=learning,
        flop=flop,
        attention_share=attention_flop_per_token(shape) / flop_per_token(shape),
        outcomes=_outcomes(recipe, budget, training, ladder),
        hardware=hardware,
        seconds=seconds,
        usd=usd,
        memory=memory_fits(shape, optimizer, learning.global_batch_size, budget.gpus, memory_bytes),
        memory_bytes=memory_bytes,
        tokens_available=found.tokens_available,
        needed=warcs_needed(tokens / budget.epochs, found) if budget.is_given else None,
        basis={
            "parameters": "counted from the shape, embeddings included",
            "tokens": _tokens_basis(budget, training.law),
            "learning": learning.source,
            "flop": "6 for each weight of a matrix product and token, and 12 L H D T for attention (arXiv:2204.02311)",
            "loss": _loss_basis(training.law, ladder, training.allocation),
            "seconds": hardware,
            "usd": price,
            "memory": "weights, gradients, optimizer state exactly; activations by an estimate",
            "needed": found.source,
        },
    )


def _proportions(recipe: Recipe) -> ModelShape:
    """Return the shape whose proportions a budget's model has: the recipe's, or a usual one."""
    if recipe.pretrain:
        return recipe.pretrain.shape
    tokenizer = recipe.tokenizer or TokenizerConfig()
    named: dict[str, Any] = {"vocab_size": tokenizer.vocab_size, "context": recipe.packing.context}
    return ModelShape(**named, **sizes_of_depth(_USUAL_DEPTH, named))


def _deciding_law(ladder: LadderResult | None, budget: TrainingBudget, flop: float) -> ScalingLaw:
    if budget.law == "ladder" and ladder is None:
        raise PermanentError("--law ladder: this store holds no ladder of the recipe yet; `sluice ladder` makes one.")
    if budget.law and budget.law != "ladder":
        return PUBLISHED_LAWS[budget.law]
    if ladder and (budget.law == "ladder" or flop <= ladder.reach):
        return ladder.fit.law
    return next(iter(PUBLISHED_LAWS.values()))


def _allocation(proportions: ModelShape, law: ScalingLaw, budget: TrainingBudget, flop: float) -> Allocation:
    if budget.tokens_per_parameter:
        return allocation_at_ratio(proportions, budget.tokens_per_parameter, flop)
    return best_allocation(proportions, law, flop)


def _as_it_stands(section: PretrainSection) -> tuple[Allocation, LearningRates]:
    loop, optimizer = section.loop, section.optimizer
    batch = loop.global_batch_size * section.shape.context
    learning = LearningRates(
        batch_tokens=batch,
        global_batch_size=loop.global_batch_size,
        matrix_lr=optimizer.matrix_lr,
        embedding_lr=optimizer.lr_scale * optimizer.embedding_lr,
        head_lr=optimizer.lr_scale * optimizer.head_lr,
        source="the recipe",
    )
    return Allocation(section.shape, batch * loop.steps), learning


def _outcomes(
    recipe: Recipe, budget: TrainingBudget, training: _Training, ladder: LadderResult | None
) -> tuple[LawOutcome, ...]:
    """Return what each law would make of the budget, or the loss that it predicts for a fixed model."""
    law, allocation = training.law, training.allocation
    laws = {law.name: law} | PUBLISHED_LAWS | ({"ladder": ladder.fit.law} if ladder else {})
    is_fixed = not budget.is_given or budget.tokens_per_parameter is not None
    outcomes = []
    for one in laws.values():
        chosen = allocation
        if not is_fixed and one is not law:
            chosen = _allocation(_proportions(recipe), one, budget, budget.amount(training.mfu[0]))
        parameters, loss = count_parameters(chosen.shape).total, _forecast(one, ladder, chosen)
        outcomes.append(LawOutcome(law=one, parameters=parameters, tokens=chosen.tokens, loss=loss))
    return tuple(outcomes)


def _forecast(law: ScalingLaw, ladder: LadderResult | None, allocation: Allocation) -> float | None:
    """Return the loss that a law predicts; None outside the range it is trusted in, or if it is worse than guessing."""
    parameters, tokens = count_parameters(allocation.shape).total, allocation.tokens
    if ladder and law.name == "ladder":
        is_trusted = tokens * flop_per_token(allocation.shape) <= ladder.reach
    else:
        is_trusted = not law.beyond(parameters, tokens)
    predicted = law.loss(parameters, tokens)
    return predicted if is_trusted and predicted < math.log(allocation.shape.vocab_size) else None


def _time(
    store: Store, recipe: Recipe, budget: TrainingBudget, flop: float, mfu: tuple[float, str]
) -> tuple[float | None, str]:
    if gpu := budget.hardware:
        rate = budget.gpus * gpu.flop_per_second * mfu[0]
        peak = f"{gpu.flop_per_second / 1e12:g} TFLOP/s each ({gpu.source})"
        return flop / rate, f"{budget.gpus} x {gpu.name}, {peak}; {mfu[0]:.0%} of it is reached ({mfu[1]})"
    if speed := measured_speed(store, recipe.name):
        return flop / speed[0], speed[1]
    return None, "not known: nothing was trained in this store yet; name a GPU with --gpu"


def _cost(budget: TrainingBudget, seconds: float | None) -> tuple[float | None, str]:
    gpu = budget.hardware
    if gpu is None or seconds is None:
        return None, ""
    price = gpu.usd_per_hour if budget.price is None else budget.price
    if price is None:
        return None, "no price is known for it; give --price"
    source = "as given" if budget.price is not None else "assumed, of the order of what rents it; --price"
    return budget.gpus * seconds / 3600 * price, f"{price:g} US dollars a GPU-hour ({source})"


def _tokens_basis(budget: TrainingBudget, law: ScalingLaw) -> str:
    if not budget.is_given:
        return "the recipe's steps, their sequences wholly filled"
    if budget.tokens_per_parameter:
        return "as many for each parameter as given"
    return f"what the law {law.name!r} expects the lowest loss of"


def _loss_basis(law: ScalingLaw, ladder: LadderResult | None, allocation: Allocation) -> str:
    beyond = law.beyond(count_parameters(allocation.shape).total, allocation.tokens)
    of_others = "of its own text and tokenizer, so not of this corpus"
    if ladder is None:
        of_others += ": `sluice ladder` measures one here"
    elif law.name != "ladder":
        of_others += f"; the ladder of this store reaches to {ladder.reach:.2g} FLOP"
    about = ladder.in_words() if ladder and law.name == "ladder" else f"{law.source}; {of_others}"
    sources = [about, *([beyond] if beyond else [])]
    return "; ".join(sources)
