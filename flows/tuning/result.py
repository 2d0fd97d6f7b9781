"""What a rate search found, as stored and as a table."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from flows.store.run_record import newest_runs
from tasks.base.config import Config
from tasks.dataset.store import Store


class Trial(Config):
    """One choice of rates and what it came to."""

    rates: dict[str, float]
    loss: float | None
    """On the held-out documents, nats per token, the mean over seeds; None where a training diverged."""

    @property
    def in_words(self) -> str:
        """Its loss, as a table shows it."""
        return _in_words(self.loss)


class FreshSeeds(Config):
    """The recipe's own rates and the best that a search found, trained with seeds that did not choose them."""

    rates: dict[str, float]
    """The best that were found."""
    seeds: int
    """Trainings of each; `loss` and `own_loss` are means over them, nats per token, None where one diverged."""
    loss: float | None
    own_loss: float | None

    @property
    def confirm(self) -> bool:
        """Whether the rates that were found are better here too."""
        return self.loss is not None and (self.own_loss is None or self.loss < self.own_loss)

    @property
    def in_words(self) -> str:
        """Both losses."""
        return f"{_held_out(self.loss)}, against {_in_words(self.own_loss)} of the recipe's own rates"


class TuneResult(Config):
    """A finished search."""

    recipe: str
    crawl: str
    steps: int
    """Of each training."""
    tokens: int
    """That each model saw."""
    seeds: int
    trials: tuple[Trial, ...]
    """In the order they were asked for, the recipe's own rates first."""
    fresh: FreshSeeds | None = None
    """None where no other rates were better in the search, or the recipe wants no fresh seeds."""
    found: dict[str, float]
    """The recipe's own rates where no others were better, or where fresh seeds did not confirm them."""

    def in_words(self) -> str:
        """Say what the search came to."""
        own = self.trials[0]
        after = f"after {self.steps:,} steps ({self.tokens:,} tokens of {self.crawl}"
        if self.fresh:
            said = (
                f"{_rates_in_words(self.fresh.rates)}: {self.fresh.in_words}, {after}, other seeds than the search's:"
            )
            kept = "" if self.fresh.confirm else " The recipe's rates stay."
            return f"{said} {self.fresh.seeds}).{kept}"
        if self.found == own.rates:
            return f"No other rates were better than the recipe's by enough to tell, {after}, seeds: {self.seeds})."
        (found,) = (trial for trial in self.trials if trial.rates == self.found)
        said = f"{_rates_in_words(self.found)}: {_held_out(found.loss)}, against {own.in_words}"
        return f"{said}, {after}, seeds: {self.seeds})."


def _in_words(loss: float | None) -> str:
    return "diverged" if loss is None else f"{loss:.4f}"


def _held_out(loss: float | None) -> str:
    return _in_words(loss) + (" nats a token held out" if loss is not None else "")


def _rates_in_words(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in rates.items())


def tuning_path(recipe: str, fingerprint: str) -> str:
    """Return the path of a search's result in the store."""
    return f"tunings/{recipe}-{fingerprint[:8]}.json"


def newest_tuning(store: Store, recipe: str) -> TuneResult | None:
    """Return the newest finished search of a recipe of this name; None where there is none."""
    for record in newest_runs(store):
        stage = record.stages.get("tune")
        if stage and stage.state == "done" and record.recipe.get("name") == recipe:
            return TuneResult.model_validate_json(store.read_bytes(stage.summary["result"]))
    return None


def print_tuning(output: Console, result: TuneResult) -> None:
    """Show a search."""
    table = Table(title=f"learning rates of {result.recipe} on {result.crawl}")
    for name in (*result.found, "loss"):
        table.add_column(name, justify="right")
    for trial in result.trials:
        style = "bold" if trial.rates == result.found else None
        table.add_row(*(f"{value:.3g}" for value in trial.rates.values()), trial.in_words, style=style)
    output.print(table)
    output.print(result.in_words(), highlight=False, markup=False)
