"""tune: short trainings of the recipe's own model at other learning rates. `sluice tune` plans them."""

from dataclasses import replace

from flows.stages import ladder

STAGE = replace(ladder.STAGE, name="tune", shows_steps=False)
