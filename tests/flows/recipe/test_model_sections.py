"""What a recipe says of its model: the depth, the objective, and what names a run."""

import pytest

from flows.recipe.loading import load_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.stages.plan import plan_stages
from model.base.sizes import ModelShape

GAPS = ["sft=null", "preference=null", "evaluate.questions=null"]


def model_shape(*overrides: str) -> ModelShape:
    """The shape of the demo's model under some overrides."""
    recipe = load_recipe("demo", overrides)
    assert recipe.pretrain is not None
    return recipe.pretrain.shape


def test_a_depth_is_all_that_a_shape_needs() -> None:
    shape = model_shape("pretrain.shape={depth: 6}")
    assert (shape.layers, shape.hidden_size, shape.heads, shape.kv_heads, shape.head_dim) == (6, 384, 6, 3, 64)
    assert (shape.vocab_size, shape.context) == (1536, 256), "these follow the tokenizer and the packing"
    wide = model_shape("pretrain.shape={depth: 6}", "pretrain.shape.hidden_size=512")
    assert (wide.layers, wide.hidden_size, wide.heads) == (6, 512, 8)
    one_key_head = model_shape("pretrain.shape={depth: 6}", "pretrain.shape.kv_heads=1")
    assert one_key_head.kv_heads == 1


def test_a_recipe_is_dumped_with_its_resolved_sizes() -> None:
    recipe = load_recipe("demo", ["pretrain.shape={depth: 6}"])
    dumped = recipe.model_dump(mode="json")
    assert "depth" not in dumped["pretrain"]["shape"] and dumped["pretrain"]["shape"]["hidden_size"] == 384
    assert Recipe.model_validate(dumped) == recipe
    assert (
        plan_stages(recipe, "c", {"conversations": "d", "questions": "q"})["pretrain"].job_config["shape"]["layers"]
        == 6
    )


def test_the_form_of_a_recipe_knows_the_depth() -> None:
    definition = Recipe.model_json_schema()["$defs"]["ModelShape"]
    assert definition["properties"]["depth"]["type"] == "integer"
    assert not definition.get("required"), "a depth is enough"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pretrain.shape={depth: 0}"], r"pretrain\.shape: depth must be a whole number of at least 1, not 0"),
        (["pretrain.shape.depth=6"], r"depth has nothing to set.*replace the whole shape by \{depth: 6\}"),
        (["pretrain.shape={}"], r"pretrain\.shape\.layers: is missing"),
        (["pretrain.objective=mask"], r"pretrain\.objective: .*'causal', 'masked' or 'span_corruption'"),
        (
            ["pretrain.objective=masked"],
            r"objective masked cannot be finetuned .* leave sft and evaluate\.questions out",
        ),
        ([*GAPS, "pretrain.objective=masked", "pretrain.loop.document_mask=false"], r"document_mask must be true"),
        (
            [*GAPS, "pretrain.objective=masked", "pretrain.shape.vocab_size=1536"],
            r"objective masked needs 1 ids beside the tokenizer's, and pretrain\.shape\.vocab_size is 1536",
        ),
        (["pretrain.schedule.warmup_steps=500"], r"pretrain.*schedule\.warmup_steps must be less than loop\.steps"),
        (["pretrain.schedule.warmup_steps=150"], r"pretrain.*schedule\.warmup_steps \(150\) and .*must fit into loop"),
        (["sft.schedule.warmup_steps=500"], r"sft.*schedule\.warmup_steps must be less than loop\.steps"),
        (["pretrain.optimizer.lr=.nan"], r"pretrain\.optimizer.*lr must be"),
        (["sft.optimizer.weight_decay=.inf"], r"sft\.optimizer.*weight_decay must be a finite number"),
        (["pretrain.loop.seed=18446744073709551616"], r"pretrain\.loop.*seed must be at most 18446744073709551615"),
        (["packing.seed=18446744073709551616"], r"packing\.seed"),
        (["pretrain.shape.rope_scaling=yarn"], "rope_factor must be above 1 with rope_scaling"),
    ],
)
def test_an_impossible_recipe_is_refused_before_a_run(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("demo", overrides)


@pytest.mark.parametrize(("objective", "rows"), [("masked", 1537), ("span_corruption", 1536 + 256 // 20 + 2)])
def test_an_objective_gets_its_ids_and_no_export(objective: str, rows: int) -> None:
    recipe = load_recipe("demo", [*GAPS, f"pretrain.objective={objective}"])
    assert recipe.pretrain is not None and recipe.pretrain.shape.vocab_size == rows
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    plans = plan_stages(recipe, "c", {})
    assert "evaluate" in plans and "export" not in plans
    assert plans["pretrain"].config["objective"] == plans["pretrain"].job_config["objective"] == objective


def test_a_run_is_named_by_every_field_but_its_pace() -> None:
    digests = {"conversations": "d", "questions": "q"}

    def fingerprint(*overrides: str) -> str:
        return plan_stages(load_recipe("demo", overrides), "c", digests)["pretrain"].fingerprint

    plain = fingerprint()
    assert fingerprint("pretrain.loop.threads=3", "pretrain.loop.log_every=7") == plain
    assert fingerprint("pretrain.shape.sliding_window=64") != plain
    assert fingerprint("pretrain.loop.spike_sigma=6") != plain
