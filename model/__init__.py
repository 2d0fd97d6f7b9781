"""The language model: programs on torch and accelerate that share only files with the data half.

Notable: importing this package sets one environment variable, unless it is already set. OpenMP's threads spin while
they wait for each other, by default for so long that a second busy process on the machine makes a training step ten to
thirty times slower; a short spin costs a few per cent on an idle machine. The runtime reads the variable once, when
torch is loaded, so it has to be set here.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "5000")
