"""The reference's log-probabilities of all replies, computed once and kept in a Parquet file beside the checkpoints.

Notable: the file's footer has the digest of pairs, weights and precision that it was computed from; a resumed run reads
it, and any other run computes its own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import xxhash
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from model.base.full_disk import written_whole
from model.data.packed_sequences import share
from model.network.transformer import Transformer
from model.preferences.pairs import TwoReplies, pair_rows

FILE = "reference.parquet"
_DIGEST = b"digest"


def reference_log_probabilities(
    accelerator: Accelerator, model: Transformer, pairs: Sequence[TwoReplies], rows: int, folder: Path, digest: str
) -> npt.NDArray[np.float32]:
    """Return the log-probabilities of the first and the second replies, in nats, (pairs, 2), on every process.

    They are read from the model folder where they were computed before. `rows`: pairs of one pass on one process;
    `digest`: of what they are computed from.
    """
    there = [_read(folder / FILE, digest) if accelerator.is_main_process else None]
    if (known := broadcast_object_list(there)[0]) is not None:
        return np.asarray(known, np.float32)
    own = pairs[share(len(pairs), accelerator.process_index, accelerator.num_processes)]
    scored = [_score(model.to(accelerator.device), own[at : at + rows]) for at in range(0, len(own), rows)]
    found = np.concatenate([*gather_object(scored), np.zeros((0, 2), np.float32)])
    if accelerator.is_main_process:
        _write(folder / FILE, digest, found)
    return found


def digest_of_weights(model: Transformer, *further: str) -> str:
    """Return a digest of a model's weights, and of further texts."""
    digest = xxhash.xxh3_128("\n".join(further).encode())
    for weight in model.state_dict().values():
        digest.update(weight.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


@torch.no_grad()
def _score(model: Transformer, pairs: Sequence[TwoReplies]) -> npt.NDArray[np.float32]:
    device = model.embed_tokens.weight.device
    inputs, targets = (torch.from_numpy(rows).to(device) for rows in pair_rows(pairs, model.shape.context))
    nats = model(inputs.flatten(0, 1), targets.flatten(0, 1), None, each=True)
    found: npt.NDArray[np.float32] = -nats.view(targets.shape).sum(-1).cpu().numpy()
    return found


def _read(path: Path, digest: str) -> npt.NDArray[np.float32] | None:
    """Return what a file holds; None where there is none, or it is damaged or of something else."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return None
    if (table.schema.metadata or {}).get(_DIGEST) != digest.encode():
        return None
    return np.stack([table["first"].to_numpy(), table["second"].to_numpy()], axis=1)


def _write(path: Path, digest: str, found: npt.NDArray[np.float32]) -> None:
    table = pa.table({"first": found[:, 0], "second": found[:, 1]}).replace_schema_metadata({_DIGEST: digest})
    with written_whole(path) as file:
        pq.write_table(table, file)
