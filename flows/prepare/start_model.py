"""The model that a recipe's pretraining goes on from, pinned by its newest checkpoint's digest when a run opens."""

import dataclasses

import xxhash

from flows.recipe.recipe import Recipe
from model.checkpoints.folders import DIGESTS, checkpoint_folders_of
from tasks.base.errors import UsageError
from tasks.dataset.store import Store


def pin_start_model(recipe: Recipe, store: Store) -> Recipe:
    """Return `recipe` with the digest of the start's newest checkpoint, so that a fingerprint covers its weights.

    Raises `UsageError` where the store has no such checkpoint, or another than the recipe says.
    """
    if recipe.pretrain is None or recipe.pretrain.start is None:
        return recipe
    folder = f"{recipe.pretrain.start}/checkpoints"
    newest = next(iter(checkpoint_folders_of(store.names(folder))), None)
    if newest is None or not store.exists(f"{folder}/{newest}/{DIGESTS}"):
        raise UsageError(f"pretrain.start: {store.location(folder)} holds no checkpoint to start from.")
    digest = xxhash.xxh3_128_hexdigest(store.read_bytes(f"{folder}/{newest}/{DIGESTS}"))
    if recipe.pretrain.start_digest not in (None, digest):
        raise UsageError(
            f"pretrain.start: the newest checkpoint in {store.location(folder)} is {digest}, but pretrain.start_digest "
            f"says {recipe.pretrain.start_digest}: it was trained on since."
        )
    return recipe.model_copy(update={"pretrain": dataclasses.replace(recipe.pretrain, start_digest=digest)})
