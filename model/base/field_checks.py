"""Checks of a config's fields, whose error is the sentence that the user reads."""

import math


def require(right: bool, message: str) -> None:
    """Raise ValueError with the message unless it is `right`."""
    if not right:
        raise ValueError(message)


def require_finite(config: object) -> None:
    """Raise ValueError if a number of a config is infinite or NaN, as YAML and Python's JSON can spell them."""
    for name, value in vars(config).items():
        require(not isinstance(value, float) or math.isfinite(value), f"{name} must be a finite number, not {value}")
