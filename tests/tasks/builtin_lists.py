"""The lists that come with Sluice, read as a stage reads them."""

from tasks.dataset.data_files import read_data_file
from tasks.dataset.store import Store


def read_list(name: str) -> bytes:
    """The bytes of a list such as `builtin:url-hard-words.txt`."""
    return read_data_file(Store("memory://no-store"), name)
