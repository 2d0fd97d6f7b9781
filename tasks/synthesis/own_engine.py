"""Our own engine as a generator: an exported model served on loopback while a part is built.

Notable: the model half is started as a program, so a worker that asks it needs no torch itself. It ends with the
worker, however that ends.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.base.errors import PermanentError
from tasks.base.safe_path import safe_path
from tasks.dataset.store import Store
from tasks.synthesis.config import RequestsConfig
from tasks.synthesis.endpoint import Address
from tasks.workers.scratch_folder import scratch_folder

_SERVING = re.compile(r"Serving .* on (http://\S+)")
_OF_STORE = re.compile(r"models/[A-Za-z0-9_.-]+(/export)?")


def is_export_of_store(export: str) -> bool:
    """Return whether `synthesis.generator.export` is a folder's name below the store."""
    return bool(_OF_STORE.fullmatch(export))


@contextmanager
def served_export(store: Store, export: str, name: str, requests: RequestsConfig) -> Iterator[Address]:
    """Serve an exported model under a name, and yield its address; raises PermanentError where it cannot be served."""
    with scratch_folder("export") as copy:
        folder = Path(export)
        if is_export_of_store(export):
            folder = store.local(export) if store.is_local else copy
            if not store.is_local:
                store.download_folder(export, folder)
        key = secrets.token_urlsafe(24)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "model.serve", f"--model={folder}", "--port=0", f"--model-name={name}"),
                *(f"--slots={requests.concurrency}", "--end-with-stdin"),
            ],
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | safe_path() | {"SLUICE_API_KEY": key},
        )
        try:
            assert process.stdout
            told = _SERVING.match(process.stdout.readline())
            if told is None:
                raise PermanentError(
                    f"synthesis.generator.export: the model in {folder} cannot be served: the lines above say why. It "
                    "needs the extras `train` and `serve`."
                )
            yield Address(f"{told[1]}/v1", key)
        finally:
            process.kill()
            process.communicate()
