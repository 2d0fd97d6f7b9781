"""Tools that a model calls while it answers: the registry, the calculator, the search, and the process they run in."""
