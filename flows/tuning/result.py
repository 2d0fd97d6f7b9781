"""What a rate search found, as stored and as a table."""

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
        return "diverged" if self.loss is None else f"{self.loss:.4f}"


class FreshSeeds(Config):
    """The recipe's own rates and the best that a search found, trained with seeds that did not choose them."""

    seeds: int
    """Trainings of each."""
    own: Trial
    best: Trial

    @property
    def confirm(self) -> bool:
        """Whether the rates that were found are better here too."""
        return self.best.loss is not None and (self.own.loss is None or self.best.loss < self.own.loss)


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
        if self.fresh:
            best, against = self.fresh.best, f"{self.fresh.own.in_words} of the recipe's own rates"
            seeds = f"other seeds than the search's: {self.fresh.seeds}"
        else:
            (best,) = (trial for trial in self.trials if trial.rates == self.found)
            against, seeds = own.in_words, f"seeds: {self.seeds}"
        after = f"after {self.steps:,} steps ({self.tokens:,} tokens of {self.crawl}, {seeds})."
        if best.rates == own.rates:
            return f"No other rates were better than the recipe's by enough to tell, {after}"
        rates = ", ".join(f"{name} {value:.3g}" for name, value in best.rates.items())
        unit = "" if best.loss is None else " nats a token held out"
        kept = " The recipe's rates stay." if self.found == own.rates else ""
        return f"{rates}: {best.in_words}{unit}, against {against}, {after}{kept}"


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
