"""`python -m tests.chaos.storm`: rounds under faults, until so many have struck.

Notable:
- A round is a whole run of a tiny recipe on two training processes, from a terminal or by a schedule on the deployed
  stack; or a corpus fetched through a mirror that fails. At its end the datasets must have the bytes, and the models
  the losses and weights, of a run that nothing disturbed; no process, temporary file or lease may be left.
- Which fault strikes when follows from the seed, as far as machines are alike.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.chaos.storm.faults import Strike
from tests.chaos.storm.machine import Machine
from tests.chaos.storm.outcome import differences, leftovers, outcome_of
from tests.chaos.storm.rounds import Round, deployed, from_a_terminal, misbehave
from tests.conftest import TINY_RECIPE
from tests.flows.crawl_mirror import RECIPE, publish
from tests.tasks.crawl_mirror import Mirror, running_mirror

_WHOLE = TINY_RECIPE.replace("steps: 12,", "steps: 60,").replace("checkpoint_every: 4", "checkpoint_every: 10")
_CRAWL = "CC-MAIN-2026-46"
_PLACES = {"terminal": 12, "stack": 10, "mirror": 5}
"""Where rounds take place, and the strikes of each."""
_LONGEST_PAUSE = 0.15
"""Between two strikes, of the time that an undisturbed run takes."""


class Storm:
    """Rounds on one machine, and their table."""

    def __init__(self, machine: Machine, mirror: Mirror, seed: int) -> None:
        self._machine, self._mirror, self._draws = machine, mirror, random.Random(seed)
        self._expected: dict[str, dict[str, Any]] = {}
        self._seconds: dict[str, float] = {}
        self.strikes: list[Strike] = []
        self.faults: list[str] = []
        for verb, recipe in (("run", _WHOLE), ("corpus", RECIPE.replace("BASE", mirror.base))):
            self._recipe(verb).write_text(recipe)

    def round(self, number: int, place: str, most: int) -> None:
        """Carry a recipe out at a place under up to `most` strikes, and compare it with an undisturbed run."""
        verb = "corpus" if place == "mirror" else "run"
        if verb not in self._expected:
            quiet = self._new_round(f"quiet-{verb}", 0, 1.0)
            from_a_terminal(quiet, self._arguments(verb))
            self._expected[verb], self._seconds[verb] = outcome_of(quiet.store), time.monotonic() - quiet.began
        round_ = self._new_round(f"{place}-{number}", most, self._seconds[verb] * _LONGEST_PAUSE)
        if place == "stack":
            deployed(round_, self._recipe(verb))
        else:
            self._mirror.faults += misbehave(self._draws) if place == "mirror" else []
            from_a_terminal(round_, self._arguments(verb))
        self._mirror.faults.clear()
        self._machine.set_clock(0)
        faults = differences(self._expected[verb], outcome_of(round_.store)) + round_.faults
        faults += leftovers(round_.store, self._machine.temporary)
        seconds = time.monotonic() - round_.began
        said = "\n".join(faults) or "equal bytes, losses and weights, nothing left over"
        print(f"{round_.name:12} {round_.strikes} strikes in {seconds:.0f} s: {said}", flush=True)
        self.faults += [f"{round_.name}: {fault}" for fault in faults]

    def _new_round(self, name: str, most: int, longest_pause: float) -> Round:
        return Round(name, self._machine, self._draws, most, longest_pause, self._show)

    def _recipe(self, verb: str) -> Path:
        return self._machine.folder / f"{verb}.yaml"

    def _arguments(self, verb: str) -> list[str]:
        processes = ["--processes", "2"] if verb == "run" else []
        return [verb, str(self._recipe(verb)), "--workers", "2", *processes]

    def _show(self, strike: Strike) -> None:
        self.strikes.append(strike)
        words = f"{strike.kind:34} {strike.struck:32} {strike.stage}"
        print(f"{strike.round:12} {strike.seconds:6.1f} s  {words}", flush=True)


def main() -> int:
    """Raise the storm, print its table, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--strikes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--places", nargs="+", default=list(_PLACES), choices=list(_PLACES))
    parser.add_argument("--table", type=Path, help="JSON file for the table")
    given = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGINT):  # the machine is tidied up on leaving
        signal.signal(ending, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="sluice-storm-", ignore_cleanup_errors=True) as folder:
        publish(Path(folder) / "web", _CRAWL)
        with Machine(Path(folder)) as machine, running_mirror(Path(folder) / "web") as mirror:
            storm = Storm(machine, mirror, given.seed)
            for number, place in enumerate(cycle(given.places), 1):
                if len(storm.strikes) >= given.strikes:
                    break
                storm.round(number, place, min(_PLACES[place], given.strikes - len(storm.strikes)))
    by_kind = Counter(strike.kind for strike in storm.strikes)
    print(*(f"{count:4}  {kind}" for kind, count in sorted(by_kind.items())), sep="\n")
    print(f"{len(storm.strikes)} strikes in {number - 1} rounds, {len(storm.faults)} faults", *storm.faults, sep="\n")
    if given.table:
        given.table.write_text(json.dumps([asdict(strike) for strike in storm.strikes], indent=1))
    return int(bool(storm.faults))


if __name__ == "__main__":
    sys.exit(main())
