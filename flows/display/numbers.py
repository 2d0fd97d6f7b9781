"""Numbers as text for people: grouped digits, sizes, times, shares."""

_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def grouped(value: float | None) -> str:
    """Return e.g. `12,345`; a dash for None."""
    return "–" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """Return e.g. `1.9M`, exact below a thousand; a dash for None."""
    if value is None:
        return "–"
    for scale, letter in _SCALES:
        if value >= scale:
            return f"{value / scale:.3g}{letter}" if value < 999.5 * scale else f"{value / scale:,.0f}{letter}"
    return f"{value:.0f}"


def share(value: float | None) -> str:
    """Return e.g. `84%`, with one decimal near 0 and 1; a dash for None."""
    if value is None:
        return "–"
    if value in (0.0, 1.0) or 0.1 <= value < 0.95:
        return f"{value:.0%}"
    # Rounding must not turn "nearly all" into "all".
    return f"{min(max(value, 0.001), 0.999):.1%}"


def decimal(value: float | None) -> str:
    """Return three decimals; a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def size(value: float | None) -> str:
    """Return bytes in units of 1,000, e.g. `20.5 MB`; a dash for None."""
    if value is None:
        return "–"
    unit = 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_SIZES[unit]}"


def duration(seconds: float | None) -> str:
    """Return e.g. `4.2 s`, `3 min 05 s` or `2 h 10 min`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def rate(per_second: float) -> str:
    """Return e.g. `12.3/s`, `4.0/min` or `2.5/h`."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:,.1f}/{unit}"
    return f"{per_second * 3600:,.1f}/h"
