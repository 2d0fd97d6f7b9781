"""The files that a web server lists: a folder's index page with those of the folders below, or a list of paths.

Notable: a page may be anyone's. Only links to what lies below the folder count, and pages and folders are limited.
"""

import zlib
from functools import partial
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from tasks.base.errors import PermanentError, TemporaryError
from tasks.sources.downloading import read_small
from tasks.sources.transfer import TransferConfig
from tasks.warc.gzip_inflating import GZIP, GZIP_MAGIC, inflate

LISTING_ENDINGS = (".paths", ".paths.gz")
"""How the names of lists of paths end; each line of one is a path below the list's own folder."""
_MOST_BYTES = 64 << 20
_MOST_FOLDERS = 1_000


def listed_on_web(base: str, transfer: TransferConfig) -> list[str]:
    """Return the paths of the files below a folder of a web server, or of those in a list, relative to its root.

    Raises PermanentError where there is no such page, or more folders than are followed.
    """
    if base.endswith(LISTING_ENDINGS):
        folder, _, name = base.rpartition("/")
        found = read_small(folder, name, transfer, _lines, _MOST_BYTES, name.endswith(".gz"))
        return [path for path in found if _is_below(path)]
    files, folders = [], [""]
    for folder in folders:  # which grows meanwhile
        if len(folders) > _MOST_FOLDERS:
            raise PermanentError(f"source.base: {base} has more than {_MOST_FOLDERS:,} folders; name a smaller one.")
        links = partial(_links, base=base, folder=folder)
        below = read_small(base.rstrip("/"), folder, transfer, links, _MOST_BYTES, False)
        files += [path for path in below if not path.endswith("/")]
        folders += [path for path in below if path.endswith("/") and path not in folders]
    return sorted(set(files))


def _links(body: bytes, base: str, folder: str) -> list[str]:
    """Return the paths, below the base, that the page of a folder below it links to and that are below that folder."""
    page = _Page()
    page.feed(body.decode(errors="replace"))
    root = urlsplit(f"{base.rstrip('/')}/")
    here, found = f"{root.geturl()}{folder}", []
    for link in page.links:
        try:
            target = urlsplit(urljoin(here, link))
        except ValueError:  # no address, such as http://[
            continue
        path = unquote(target.path).removeprefix(unquote(root.path))
        is_here = target[:2] == root[:2] and target.path.startswith(root.path) and not target.query
        if is_here and path.startswith(folder) and path != folder and _is_below(path.rstrip("/")):
            found.append(path)
    return found


def _lines(body: bytes) -> list[str]:
    try:
        data = inflate(body, GZIP, _MOST_BYTES).data if body.startswith(GZIP_MAGIC) else body
        return [line.strip() for line in data.decode().split("\n") if line.strip()]
    except (zlib.error, UnicodeDecodeError) as error:
        raise TemporaryError(f"The list arrived damaged ({error}).") from error


def _is_below(path: str) -> bool:
    """Return whether a path leads nowhere else and has no hidden part."""
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and ":" not in parts[0]
        and not any(part.startswith(".") or not part for part in parts)
    )


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
