"""The language model: torch and accelerate only, started as a program, joined to the data half by files alone.

Notable: importing this package sets one environment variable, unless it is set already. OpenMP's workers spin while
they wait for each other, by default for so long that a second busy process on the machine makes a training step ten to
thirty times slower; a short spin costs a few per cent on an idle machine. The runtime reads it once, when torch is
loaded, and no later place comes before that.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "5000")
