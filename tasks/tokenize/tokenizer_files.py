"""The files that the stage `tokenizer` writes beside its dataset, and how the stages after it read them."""

from tokenizers import Tokenizer

from tasks.base.errors import PermanentError
from tasks.dataset.manifest import dataset_folder
from tasks.dataset.stage import PartContext
from tasks.tokenize.tokenizer_training import encoder


def tokenizer_path(fingerprint: str) -> str:
    """Return where the stage with this fingerprint writes its tokenizer, in the store."""
    return f"tokenizers/{fingerprint}/tokenizer.json"


def token_bytes_path(fingerprint: str) -> str:
    """Return where it writes the UTF-8 bytes of each token: a numpy file, int32 [vocab_size], 0 of special tokens."""
    return f"tokenizers/{fingerprint}/token_bytes.npy"


def read_tokenizer(context: PartContext) -> Tokenizer:
    """Return the tokenizer that a stage builds on. Raises PermanentError where its file is gone."""
    fingerprint = context.job.upstream["tokenizer"]
    path = tokenizer_path(fingerprint)
    try:
        return encoder(context.store.read_bytes(path).decode())
    except FileNotFoundError as error:
        dataset = context.store.location(dataset_folder("tokenizer", fingerprint))
        raise PermanentError(
            f"{context.store.location(path)} is gone: delete {dataset} and run again to train it anew."
        ) from error
