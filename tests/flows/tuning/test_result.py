"""What a search says: its best rates stay only where seeds that did not choose them say the same."""

import pytest

from flows.tuning.result import FreshSeeds, Trial, TuneResult

OWN, BEST = {"muon_lr": 0.03}, {"muon_lr": 0.06}


@pytest.mark.parametrize(
    ("loss", "own_loss", "confirm"),
    [
        (4.4, 4.5, True),
        (4.5, 4.4, False),
        (4.5, 4.5, False),
        (4.4, None, True),
        (None, 4.5, False),
        (None, None, False),
    ],
)
def test_rates_are_confirmed_where_they_are_better_on_seeds_that_did_not_choose_them(
    loss: float | None, own_loss: float | None, confirm: bool
) -> None:
    assert fresh_seeds(loss, own_loss).confirm is confirm


def test_it_says_the_losses_of_the_fresh_seeds_and_not_those_that_chose() -> None:
    said = result(fresh_seeds(4.45, 4.5)).in_words()
    assert said == (
        "muon_lr 0.06: 4.4500 nats a token held out, against 4.5000 of the recipe's own rates, after 100 steps"
        " (400,000 tokens of CC-MAIN-2026-46, other seeds than the search's: 2)."
    )


def test_it_says_that_the_recipes_rates_stay() -> None:
    said = result(fresh_seeds(None, 4.5)).in_words()
    assert said.startswith("muon_lr 0.06: diverged, against 4.5000 of the recipe's own rates, after 100 steps")
    assert said.endswith("The recipe's rates stay.")


def test_a_search_of_an_earlier_version_is_still_read() -> None:
    stored = result(None).model_dump(exclude={"fresh"})
    assert (
        TuneResult.model_validate(stored)
        .in_words()
        .startswith("muon_lr 0.06: 4.4000 nats a token held out, against 4.5")
    )


def fresh_seeds(loss: float | None, own_loss: float | None) -> FreshSeeds:
    """Return what two fresh seeds came to."""
    return FreshSeeds(seeds=2, own=Trial(rates=OWN, loss=own_loss), best=Trial(rates=BEST, loss=loss))


def result(fresh: FreshSeeds | None) -> TuneResult:
    """Return a search that found `BEST` unless `fresh` speaks against it."""
    trials = (Trial(rates=OWN, loss=4.5), Trial(rates=BEST, loss=4.4))
    found = BEST if fresh is None or fresh.confirm else OWN
    return TuneResult(
        recipe="demo",
        crawl="CC-MAIN-2026-46",
        steps=100,
        tokens=400_000,
        seeds=1,
        trials=trials,
        fresh=fresh,
        found=found,
    )
