"""Read a file by https from wherever the address leads, as long as that is no less public than where it began.

Notable: a recipe may be somebody else's, and so may the server that it names. A redirect to http, or from a public host
to one of this machine or its own network, would read what the recipe's author cannot, so neither is followed.
"""

import ipaddress
import socket
import ssl

import httpx

_MOST_REDIRECTS = 5
_TIMEOUT_SECONDS = 60.0


def read_https(url: str, most_bytes: int) -> bytes:
    """Return the bytes of a file, of a longer one the first `most_bytes`.

    Raises FileNotFoundError where there is none, and OSError where it cannot be read or a redirect is not followed.
    """
    address = url
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS, verify=ssl.create_default_context()) as client:
            for _ in range(_MOST_REDIRECTS + 1):
                with client.stream("GET", address, headers={"User-Agent": "sluice"}) as response:
                    if response.next_request is None:
                        return _content(response, most_bytes)
                    target = response.next_request.url
                check_redirect(url, str(target))
                address = str(target)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"{address}: {str(error) or type(error).__name__}") from error
    raise OSError(f"{url} redirects more than {_MOST_REDIRECTS} times")


def check_redirect(url: str, target: str) -> None:
    """Raise OSError for a redirect that leaves https or, from a public host, leads to one that is not."""
    if httpx.URL(target).scheme != "https":
        raise OSError(f"it redirects to {target}, which is not https")
    if leads_inwards(url, target):
        raise OSError(f"it redirects to {target}, a host of this machine or its own network")


def leads_inwards(origin: str, target: str) -> bool:
    """Return whether an address that came from a public host is one of this machine or its own network.

    Raises OSError for a host without an address, ValueError for an address without a host.
    """
    try:
        return _is_public(httpx.URL(origin).host) and not _is_public(httpx.URL(target).host)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error


def _is_public(host: str) -> bool:
    """Return whether all addresses of a host are on the public Internet."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_global for address in found)


def _content(response: httpx.Response, most_bytes: int) -> bytes:
    if response.status_code in (404, 410):
        raise FileNotFoundError(str(response.url))
    if not response.is_success:
        raise OSError(f"{response.url}: the server answered {response.status_code} {response.reason_phrase}")
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) >= most_bytes:
            break
    return bytes(content[:most_bytes])
