"""Where on this machine's disk lies what must be on one: the store itself, or the scratch folder of a remote one."""

from pathlib import Path

from tasks.dataset.store import Store


def working_folder(store: Store, scratch: str) -> Path:
    """Return the folder for what must be on a local disk; `scratch` is that of the run's settings."""
    return store.local("") if store.is_local else Path(scratch).resolve()


def synthetic_web_folder(store: Store, scratch: str) -> Path:
    """Return where the synthetic web is generated, with its chat data and the truth about its pages."""
    return working_folder(store, scratch) / "synthetic_web"
