"""What a server's headers say about time."""

import contextlib
import email.utils
import time

import httpx


def retry_after(headers: httpx.Headers) -> float:
    """Return the seconds that a Retry-After header asks for, a number or a date (RFC 9110, section 10.2.3).

    A date is compared with the server's own, where it gives that: our clock may be wrong.
    """
    text = headers.get("Retry-After", "")
    if text.strip().isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, OverflowError):
        return max(0.0, date_of(text) - servers_time(headers))
    return 0.0


def servers_time(headers: httpx.Headers) -> float:
    """Return the time in the Date header in seconds since 1970; our own where there is none."""
    with contextlib.suppress(ValueError, OverflowError):
        return date_of(headers.get("Date", ""))
    return time.time()


def date_of(date: str) -> float:
    """Return the date of a header in seconds since 1970. Raises ValueError or OverflowError for what is none."""
    return email.utils.parsedate_to_datetime(date).timestamp()
