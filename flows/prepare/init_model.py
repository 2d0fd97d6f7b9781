"""The models that a recipe begins with, in training and for synthetic data: pinned by content when a run opens.

Notable: a model folder of the store is known by the digests of its newest checkpoint; any other folder by its files.
"""

import dataclasses
from pathlib import Path

import xxhash

from flows.recipe.named_files import is_model_of_store
from flows.recipe.recipe import Recipe
from model.base.config_loading import json_value, parse_config
from model.base.errors import BadInput
from model.base.sizes import ModelShape, differing_sizes
from model.checkpoints.folders import DIGESTS, PROGRESS, checkpoint_folders_of
from model.checkpoints.progress import Progress
from model.inference.transformers_config import shape_of
from tasks.base.errors import UsageError
from tasks.dataset.store import Store
from tasks.synthesis.own_engine import is_export_of_store

_WEIGHTS = (".safetensors", ".safetensors.index.json")
_PIECE = 1 << 24


def pin_init(recipe: Recipe, store: Store) -> Recipe:
    """Return `recipe` with the digest of the model to begin with, so that a fingerprint covers its weights.

    Raises `UsageError` where there is no such model, it has other sizes, or it is another than the recipe says.
    """
    if recipe.pretrain and recipe.pretrain.init:
        init = recipe.pretrain.init
        shape, digest = _begun_with("pretrain.init", init, recipe.pretrain.init_digest, store)
        if wrong := differing_sizes(recipe.pretrain.shape, shape):
            raise UsageError(f"pretrain.init: the model in {init} has other sizes: {wrong}.")
        return recipe.model_copy(update={"pretrain": dataclasses.replace(recipe.pretrain, init_digest=digest)})
    if recipe.sft and recipe.sft.base:
        shape, digest = _begun_with("sft.base", recipe.sft.base, recipe.sft.base_digest, store)
        if recipe.sft.context > shape.context:
            raise UsageError(f"sft.context is {recipe.sft.context}, and the model in sft.base takes {shape.context}.")
        context = recipe.sft.context or min(shape.context, recipe.packing.context)
        return recipe.model_copy(update={"sft": dataclasses.replace(recipe.sft, base_digest=digest, context=context)})
    return recipe


def _begun_with(field: str, named: str, expected: str | None, store: Store) -> tuple[ModelShape, str]:
    """Return the shape and the digest of the model that a field names; `UsageError` as in `pin_init`."""
    place = Path(named)
    where, name = (store, named) if is_model_of_store(named) else (Store(str(place.parent)), place.name)
    try:
        weights = [file for file in where.names(name) if file.endswith(_WEIGHTS)]
        shape, digest = _exported(where, name, weights) if weights else _trained(where, name)
    except (OSError, BadInput, ValueError, KeyError) as error:
        raise UsageError(f"{field}: {named} holds no model that training can begin with: {error}") from error
    if expected not in (None, digest):
        raise UsageError(
            f"{field}: the model in {named} is {digest}, but {field}_digest says {expected}: it was changed or trained "
            f"on since. Leave {field}_digest out to begin with it as it is."
        )
    return shape, digest


def pin_generator(recipe: Recipe, store: Store) -> Recipe:
    """Return `recipe` with the digest of the export that writes its synthetic data, likewise; `UsageError` without."""
    synthesis = recipe.synthesis
    if synthesis is None or synthesis.generator.export is None:
        return recipe
    export = synthesis.generator.export
    place = Path(export)
    where, name = (store, export) if is_export_of_store(export) else (Store(str(place.parent)), place.name)
    try:
        weights = [file for file in where.names(name) if file.endswith(_WEIGHTS)]
        if not weights:
            raise ValueError("it has no .safetensors")
        digest = _exported(where, name, weights)[1]
    except (OSError, BadInput, ValueError, KeyError) as error:
        raise UsageError(f"synthesis.generator.export: {export} holds no exported model: {error}") from error
    generator = synthesis.generator.model_copy(update={"export_digest": digest})
    return recipe.model_copy(update={"synthesis": synthesis.model_copy(update={"generator": generator})})


def _exported(where: Store, name: str, weights: list[str]) -> tuple[ModelShape, str]:
    """Return the shape of an export folder and the digest of its weights; raises OSError, BadInput or ValueError."""
    config = json_value(where.read_bytes(f"{name}/config.json"))
    if not isinstance(config, dict):
        raise ValueError("its config.json has no sizes")
    digest = xxhash.xxh3_128()
    for file in weights:
        digest.update(file.encode())
        with where.open(f"{name}/{file}") as opened:
            while data := opened.read(_PIECE):
                digest.update(data)
    return shape_of(config, Path(where.location(name))), digest.hexdigest()


def _trained(where: Store, name: str) -> tuple[ModelShape, str]:
    """Return the shape of a model folder's newest checkpoint and the digest of its list of files."""
    folder = f"{name}/checkpoints"
    newest = next(iter(checkpoint_folders_of(where.names(folder))), None)
    if newest is None:
        raise ValueError("it has neither .safetensors nor checkpoints")
    digest = xxhash.xxh3_128_hexdigest(where.read_bytes(f"{folder}/{newest}/{DIGESTS}"))
    progress = json_value(where.read_bytes(f"{folder}/{newest}/{PROGRESS}"))
    return parse_config(progress, Progress, f"{folder}/{newest}/{PROGRESS}").shape, digest
