"""Where the Python programs that we start look for modules: never in the current folder.

Notable: `python -m` and `python -c` put the current folder first on the path, and people have files such as `model.py`
in theirs, which must not run in place of our packages of these names.
"""

import os
import site
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]  # the folder that our packages lie in


def safe_path() -> dict[str, str]:
    """Return the environment variables that keep a Python program, and those it starts, from the current folder.

    Relative entries of PYTHONPATH are left out. Our own folder comes first, unless it is one of installed packages.
    """
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    if str(_ROOT) not in map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()]):
        entries.insert(0, str(_ROOT))
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(entries))}
