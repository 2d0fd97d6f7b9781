"""The planner: laws, budgets, memory, yields, and how they become a plan whose numbers agree with each other."""

import dataclasses
import io
import json
import math
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from flows.planning.hardware import find_gpu
from flows.planning.learning_rules import carried_over, learning_rules
from flows.planning.memory import MemoryFit, memory_fits, update_bytes
from flows.planning.scaled_shape import scaled_shape
from flows.planning.scaling_law import CHINCHILLA, CHINCHILLA_REPLICATED, allocation_at_ratio, best_allocation
from flows.planning.token_yield import TYPICAL_TOKENS_PER_WARC, token_yield, warcs_needed
from flows.planning.training_budget import TrainingBudget, training_budget
from flows.planning.training_plan import TrainingPlan, plan_training
from flows.planning.training_table import training_tables
from flows.recipe.loading import load_recipe
from flows.recipe.recipe import Recipe
from model.base.learning_config import OptimizerConfig
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters, flop_per_token
from model.metrics.gpus import known_gpus
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.store import Store
from tests.conftest import run_sluice
from tests.flows.report_stores import RECIPE, add_training, synthetic_web_run

GPT2 = ModelShape(
    vocab_size=32768,
    layers=12,
    hidden_size=768,
    heads=12,
    kv_heads=12,
    intermediate_size=2048,
    context=2048,
    tied_embeddings=True,
)
CHINCHILLA_FLOP = 5.76e23
"""Of the 70B model that was trained on 1.4T tokens (arXiv:2203.15556, section 4)."""


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def planned(recipe: Recipe, store: Store, **budget: object) -> TrainingPlan:
    found = plan_training(recipe, store, training_budget(budget))
    assert found
    return found


def test_laws_by_hand() -> None:
    """At a billion parameters and 20 billion tokens."""
    assert CHINCHILLA.loss(1e9, 20e9) == pytest.approx(1.69 + 0.35396 + 0.53609, abs=1e-5)
    assert CHINCHILLA_REPLICATED.loss(1e9, 20e9) == pytest.approx(1.8172 + 0.35715 + 0.35570, abs=2e-5)


def test_the_replicated_law_gives_chinchilla_what_it_had() -> None:
    found = best_allocation(GPT2, CHINCHILLA_REPLICATED, CHINCHILLA_FLOP)
    assert count_parameters(found.shape).total == pytest.approx(70e9, rel=0.1)
    assert found.tokens == pytest.approx(1.4e12, rel=0.1)


def test_the_law_as_printed_wants_smaller_models_on_more_tokens() -> None:
    """As the replication says of the rounded constants: some 70 tokens a parameter and more, not 20."""
    found = best_allocation(GPT2, CHINCHILLA, CHINCHILLA_FLOP)
    assert found.tokens / count_parameters(found.shape).total > 70


@settings(max_examples=20, deadline=None)
@given(st.floats(18, 24).map(lambda power: 10**power))
def test_a_budget_is_spent_and_no_other_size_is_better(flop: float) -> None:
    found = best_allocation(GPT2, CHINCHILLA_REPLICATED, flop)
    assert found.tokens * flop_per_token(found.shape) == pytest.approx(flop, rel=1e-3)
    best = CHINCHILLA_REPLICATED.loss(count_parameters(found.shape).total, found.tokens)
    for fraction in (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 8.0):
        other = scaled_shape(GPT2, fraction)
        assert CHINCHILLA_REPLICATED.loss(count_parameters(other).total, flop / flop_per_token(other)) > best * (
            1 - 1e-3
        )


@settings(max_examples=20, deadline=None)
@given(st.floats(15, 23).map(lambda power: 10**power), st.floats(1, 300))
def test_a_ratio_is_kept_and_the_budget_too(flop: float, ratio: float) -> None:
    found = allocation_at_ratio(GPT2, ratio, flop)
    assert found.tokens * flop_per_token(found.shape) <= flop * (1 + 1e-9)
    if found.shape.layers > 2:
        assert found.tokens / count_parameters(found.shape).total == pytest.approx(ratio, rel=1e-6)


def test_every_gpu_of_the_table_has_a_source() -> None:
    assert {"h100", "h200", "a100", "mi300x"} <= known_gpus().keys()
    for gpu in known_gpus().values():
        assert gpu.source
        assert 50e12 < gpu.flop_per_second < 1e16
        assert 15e9 < gpu.memory_bytes < 1e12


def test_a_gpu_may_be_described() -> None:
    gpu = find_gpu("400TFLOP/s,48GiB")
    assert (gpu.flop_per_second, gpu.memory_bytes, gpu.usd_per_hour) == (400e12, 48 * 2**30, None)
    assert find_gpu("H100") == known_gpus()["h100"]


@pytest.mark.parametrize("asked", ["h101", "", "400", "0TFLOP/s,48GiB"])
def test_an_unknown_gpu_is_refused_with_those_that_are_known(asked: str) -> None:
    with pytest.raises(UsageError, match=r"h100, .*mi300x.*400TFLOP/s,48GiB"):
        find_gpu(asked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hours": 3}, "--gpu"),
        ({"gpus": 3}, "--gpu"),
        ({"gpu": "h100", "hours": 3, "flops": 1e18}, "--hours and --flops"),
        ({"flops": -1}, "--flops: .*greater than 0"),
        ({"gpu": "h100", "hours": 1, "mfu": 2}, "--mfu"),
        ({"flops": 1e18, "law": "kaplan"}, "chinchilla-replicated, chinchilla, ladder"),
        ({"tokens_per_parameter": 20}, "--tokens-per-parameter"),
    ],
)
def test_an_impossible_budget_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        training_budget(given)


def test_rules_at_the_size_they_are_stated_for() -> None:
    """OLMo-core's: at 108M parameters 160 sequences of 2,048, here to the next power of two; nanochat's rates."""
    shape = dataclasses.replace(GPT2, layers=12, hidden_size=864, heads=12, head_dim=72, intermediate_size=2328)
    assert count_parameters(shape).matrices == pytest.approx(108e6, rel=0.01)
    rules = learning_rules(shape, 1)
    assert rules.global_batch_size == 128
    assert rules.matrix_lr == pytest.approx(0.02 * (0.045 / 0.02) ** (1 / 7)), (
        "2^18: a seventh of the way from 2^19 to 2^12"
    )
    assert rules.head_lr == pytest.approx(0.008 * (768 / 864) ** 0.5)
    assert learning_rules(shape, 8).global_batch_size % 8 == 0


@pytest.mark.parametrize(
    ("positions", "matrix_lr"),
    [(1 << 10, 0.0225), (1 << 12, 0.045), (1 << 19, 0.02), (1 << 21, 0.04)],
    ids=["sqrt below what was measured", "as measured", "nanochat's", "sqrt above it"],
)
def test_a_matrix_learns_at_the_rate_of_its_batch(positions: int, matrix_lr: float) -> None:
    """The batch is that of the GPUs where they have one sequence each."""
    shape = dataclasses.replace(GPT2, layers=1, hidden_size=64, heads=1, head_dim=64, kv_heads=1, intermediate_size=64)
    short = dataclasses.replace(shape, context=256)
    rules = learning_rules(short, positions // 256)
    assert rules.batch_tokens == positions
    assert rules.matrix_lr == pytest.approx(matrix_lr)


def test_a_recipes_own_values_are_carried_over() -> None:
    tuned = OptimizerConfig(muon_lr=0.03, embedding_lr=0.3, head_lr=0.01)
    assert carried_over(tuned, 16, GPT2, GPT2) == (tuned, 16)
    half = dataclasses.replace(GPT2, layers=6, hidden_size=384, heads=6, kv_heads=6, intermediate_size=1024)
    optimizer, sequences = carried_over(tuned, 16, GPT2, half)
    assert sequences == 4
    rates = [optimizer.matrix_lr, optimizer.embedding_lr, optimizer.head_lr]
    assert rates == pytest.approx([0.015, 0.3 * 2**0.5, 0.01 * 2**0.5])
    assert optimizer.lr_scale == 0.5


def ways(fits: tuple[MemoryFit, ...]) -> dict[tuple[str, bool], MemoryFit]:
    return {(fit.parallelism, fit.activation_checkpointing): fit for fit in fits}


def test_memory_says_which_ways_fit() -> None:
    """A model of seven billion parameters, on eight GPUs of 80 GB: only in shards, and better without activations."""
    shape = dataclasses.replace(GPT2, layers=32, hidden_size=4096, heads=32, kv_heads=32, head_dim=128)
    shape = dataclasses.replace(shape, intermediate_size=11008)
    found = ways(memory_fits(shape, "adamw", 512, 8, known_gpus()["h100"].memory_bytes))
    assert count_parameters(shape).total == pytest.approx(6.6e9, rel=0.02)
    assert found["ddp", False].state_bytes == pytest.approx(16 * 6.6e9, rel=0.02)
    assert found["fsdp", False].state_bytes == pytest.approx(2 * 6.6e9, rel=0.02)
    assert found["ddp", False].micro_batch == found["ddp", True].micro_batch == 0
    assert 0 < found["fsdp", False].micro_batch < found["fsdp", True].micro_batch <= 64
    assert found["fsdp", True].bytes <= known_gpus()["h100"].memory_bytes
    assert 64 % found["fsdp", True].micro_batch == 0


def test_muons_update_may_be_what_does_not_fit() -> None:
    """Two of three feed-forward matrices are of one shape, and are copied together."""
    assert update_bytes(GPT2, "muon") == 12 * 12 * 2 * 768 * 2048
    assert update_bytes(GPT2, "adamw") == 0
    (kept, _) = memory_fits(GPT2, "muon", 1, 1, None)
    assert kept.bytes == kept.state_bytes + max(kept.update_bytes, kept.working_bytes + kept.bytes_per_sequence)


def test_one_gpu_has_no_shards() -> None:
    assert {fit.parallelism for fit in memory_fits(GPT2, "muon", 64, 1, None)} == {"ddp"}


def test_the_numbers_of_a_plan_agree(empty_store: Store) -> None:
    plan = planned(load_recipe("fineweb"), empty_store, gpu="h100", gpus=8, hours=24)
    gpu = known_gpus()["h100"]
    assert plan.flop == pytest.approx(8 * gpu.flop_per_second * 0.4 * 24 * 3600, rel=1e-3)
    assert plan.flop == pytest.approx(plan.tokens * flop_per_token(plan.shape))
    assert plan.seconds == pytest.approx(24 * 3600, rel=1e-3)
    assert plan.usd == pytest.approx(8 * 24 * (gpu.usd_per_hour or 0), rel=1e-3)
    assert plan.steps * plan.learning.batch_tokens == pytest.approx(plan.tokens, rel=1e-3)
    assert plan.parameters == count_parameters(plan.shape).total == plan.outcomes[0].parameters
    assert plan.needed and plan.needed.warcs == pytest.approx(plan.tokens / TYPICAL_TOKENS_PER_WARC, abs=1)
    assert "assumed" in plan.basis["needed"]
    assert {one.law.name for one in plan.outcomes} == {"chinchilla-replicated", "chinchilla"}
    assert all(plan.basis.values())


def test_price_utilization_and_epochs_are_inputs(empty_store: Store) -> None:
    recipe = load_recipe("fineweb")
    plan = planned(recipe, empty_store, gpu="h100", flops=1e19, mfu=0.5, price=2.0, epochs=4)
    once = planned(recipe, empty_store, gpu="h100", flops=1e19)
    assert plan.seconds and once.seconds and plan.seconds == pytest.approx(once.seconds * 0.4 / 0.5)
    assert plan.usd == pytest.approx(plan.seconds / 3600 * 2.0)
    assert plan.needed and once.needed and plan.needed.warcs == pytest.approx(once.needed.warcs / 4, rel=0.01)


def test_a_recipe_without_a_model_is_planned_from_a_budget_only(empty_store: Store) -> None:
    recipe = load_recipe("multilingual")
    assert plan_training(recipe, empty_store, TrainingBudget()) is None and recipe.tokenizer
    assert planned(recipe, empty_store, flops=1e18).shape.vocab_size == recipe.tokenizer.vocab_size


def test_a_ladder_that_is_not_there_is_not_used(empty_store: Store) -> None:
    with pytest.raises(PermanentError, match="sluice ladder"):
        planned(load_recipe("fineweb"), empty_store, flops=1e18, law="ladder")


def test_a_loss_that_is_no_better_than_guessing_is_no_forecast(empty_store: Store) -> None:
    plan = planned(load_recipe("demo"), empty_store)
    assert [one.loss for one in plan.outcomes] == [None, None]
    console = Console(width=80, record=True, file=io.StringIO())
    for table in training_tables(plan):
        console.print(table)
    shown = console.export_text()
    assert "no forecast" in shown and "fewer tokens" in " ".join(shown.split())
    assert "…" not in shown, "nothing is cut off in a terminal of 80 columns"
    assert all(one.loss for one in planned(load_recipe("fineweb"), empty_store, flops=1e20).outcomes)


def test_a_law_gives_no_forecast_outside_its_range(empty_store: Store) -> None:
    """At 3e17 FLOP a published law expects a loss below guessing, of models far smaller than it was fitted to."""
    plan = planned(load_recipe("fineweb"), empty_store, flops=3e17)
    law = plan.outcomes[0].law
    assert law.loss(plan.parameters, plan.tokens) < math.log(plan.shape.vocab_size)
    assert [one.loss for one in plan.outcomes] == [None, None]
    assert "fewer parameters than it was ever fitted to" in plan.basis["loss"]


def test_what_a_gpu_reached_replaces_what_is_assumed(empty_store: Store) -> None:
    recipe, peak = load_recipe("fineweb"), known_gpus()["h200"].flop_per_second
    large = planned(recipe, empty_store, gpu="h200", gpus=8, hours=24, tokens_per_parameter=20)
    assert 4e8 < large.parameters < 3e9
    assert large.seconds and large.flop / large.seconds == pytest.approx(8 * peak * 0.55)
    assert 0.85 * 24 * 3600 < large.seconds <= 24 * 3600 and "docs/gpu.md" in large.basis["seconds"]
    small = planned(recipe, empty_store, gpu="h200", flops=1e18, tokens_per_parameter=20)
    assert small.seconds and small.flop / small.seconds == pytest.approx(peak * 0.476)
    for budget in ({"gpu": "h100"}, {"gpu": "h200", "mfu": 0.4}):
        plan = planned(recipe, empty_store, flops=1e18, **budget)
        assert plan.seconds and plan.flop / plan.seconds == pytest.approx(peak * 0.4)


def test_a_loss_far_outside_its_law_says_so(empty_store: Store) -> None:
    assert "times fewer tokens" in planned(load_recipe("demo"), empty_store).basis["loss"]
    assert "times fewer" not in planned(load_recipe("fineweb"), empty_store, flops=1e20).basis["loss"]


def test_the_yield_of_a_store_is_measured(tmp_path: Path) -> None:
    synthetic_web_run(tmp_path / "store")
    store, recipe = Store(str(tmp_path / "store")), Recipe.model_validate(RECIPE)
    found = token_yield(store, recipe)
    assert found.tokens_available and found.tokens_per_warc == found.tokens_available / 2
    assert "2 WARC files" in found.source
    needed = warcs_needed(10 * found.tokens_available, found)
    assert needed.warcs == 20
    assert needed.fetched_bytes == pytest.approx(20 * found.bytes_per_warc, abs=1)
    other = token_yield(store, recipe.model_copy(update={"name": "other"}))
    assert (other.tokens_per_warc, other.tokens_available) == (found.tokens_per_warc, None)


def test_the_synthetic_web_says_nothing_about_a_real_crawl(tmp_path: Path) -> None:
    synthetic_web_run(tmp_path / "store")
    found = token_yield(Store(str(tmp_path / "store")), load_recipe("fineweb"))
    assert found.tokens_per_warc == TYPICAL_TOKENS_PER_WARC


def test_the_recipe_as_it_stands_takes_the_speed_that_was_measured(tmp_path: Path) -> None:
    recorder, store = synthetic_web_run(tmp_path / "store"), Store(str(tmp_path / "store"))
    recipe = Recipe.model_validate(RECIPE)
    assert planned(recipe, store).seconds is None
    add_training(recorder, store, "pretrain", 60)
    plan = planned(recipe, store)
    assert plan.tokens == 60 * 4 * 64
    assert plan.steps == 60
    assert plan.seconds == pytest.approx(plan.tokens / 9031, rel=0.01)
    assert plan.needed is None


def test_the_verb_says_where_each_number_is_from(tmp_path: Path) -> None:
    sluice = partial(run_sluice, "no server is asked")
    budget = ("--gpu", "h100", "--gpus", "8", "--hours", "24", "--store", str(tmp_path))
    shown = sluice("plan", "fineweb", *budget).stdout
    for words in ("8 x h100 for 24 h", "arXiv:2404.10102", "OLMo-core", "datasheet", "assumed", "WARC files", "fsdp"):
        assert words in shown
    plan = json.loads(sluice("plan", "fineweb", *budget, "--json").stdout)
    assert plan["acquisition"] is None
    assert plan["training"]["parameters"] == pytest.approx(1.39e9, rel=0.05)
    refused = sluice("plan", "fineweb", "--gpu", "h101", "--hours", "1", "--store", str(tmp_path), expect=2)
    assert "no GPU is known as 'h101'" in refused.stderr
