"""Export: `python -m model.export CONFIG.json` (model/base/config.py, ExportConfig).

Notable:
- The folder is a transformers model (Qwen3ForCausalLM, or without norms of heads a Llama, a Qwen2 or a Mistral):
  safetensors, config, generation config, tokenizer, chat template. Writing it does not need transformers.
- It is verified. The weights are read back with our own code and must give the logits of the checkpoint; if
  transformers is installed, its logits are compared in float32 too. `export_report.json` holds the largest differences.
- It is written aside and renamed, and an older one is first renamed out of the way, so a folder under the final name
  is always whole; a kill between the two renames leaves none, and the next run writes it.

Report: {"identity", "parameters", "dtype", "own_max_difference", "transformers_max_difference",
"transformers_version"}; the last two are null where transformers is not installed. "identity" is the config's name for
this export.
"""

import importlib.metadata
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from model.base.config import ExportConfig
from model.base.config_loading import load_config
from model.base.errors import BadInput
from model.base.full_disk import system_error_in, writing
from model.base.program import EXIT_DONE, run_program
from model.base.sizes import ModelShape
from model.data.chat_format import END_OF_TEXT, END_OF_TURN, START_OF_TURN, ChatFormat, load_chat_format
from model.inference.loading import exported_weights, load_export, load_trained
from model.inference.transformers_config import transformers_config
from model.network.transformer import Transformer

REPORT = "export_report.json"
_TOLERANCE = 1e-4
"""Largest difference of float32 logits that counts as rounding."""
_OWN, _THEIRS = "our own code", "transformers"
_REMEDY = {
    _OWN: "check that the checkpoint's weights are finite, and report it if they are",
    _THEIRS: "install the version that the project's requirements name, or set compare to false",
}


def export(config_path: Path) -> int:
    """Export a model and return the exit code."""
    config = load_config(config_path, ExportConfig)
    chat = load_chat_format(config.tokenizer)
    model = load_trained(config.model, torch.float32)
    chat.check_vocabulary(model.shape.vocab_size)
    dtype: torch.dtype = getattr(torch, config.precision)
    temporary = config.output.with_name(f"{config.output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_model(temporary, model, chat, config.tokenizer, dtype)
        report = {"identity": config.identity, **_prove(temporary, model, dtype, config.compare)}
        _write_json(temporary / REPORT, report)
        _put_in_place(temporary, config.output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return EXIT_DONE


def _put_in_place(folder: Path, output: Path) -> None:
    replaced = output.with_name(f"{output.name}.old")
    if output.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        output.rename(replaced)
    folder.rename(output)
    shutil.rmtree(replaced, ignore_errors=True)


def _write_model(folder: Path, model: Transformer, chat: ChatFormat, tokenizer: Path, dtype: torch.dtype) -> None:
    path = folder / "model.safetensors"
    try:
        save_file(exported_weights(model, dtype), path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise system_error_in(error, path) or error from error
    _write_json(folder / "config.json", _config(model.shape, chat, dtype))
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    with writing(folder / "chat_template.jinja"):
        (folder / "chat_template.jinja").write_text(chat.template, encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(model.shape, chat))
    ends = {"bos_token_id": chat.end_of_text, "eos_token_id": sorted(chat.stop_tokens, reverse=True)}
    generation = {**ends, "pad_token_id": chat.end_of_text, "do_sample": False}
    _write_json(folder / "generation_config.json", generation)


def _config(shape: ModelShape, chat: ChatFormat, dtype: torch.dtype) -> dict[str, Any]:
    return {
        **transformers_config(shape),
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": chat.end_of_text,
        "eos_token_id": chat.end_of_turn,
        "pad_token_id": chat.end_of_text,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def _tokenizer_config(shape: ModelShape, chat: ChatFormat) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.context,
        # What stands before a document: tools that measure a text's probability begin with it.
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TURN,
        "pad_token": END_OF_TEXT,
        # So that a batch's replies all begin where its prompts end.
        "padding_side": "left",
        "additional_special_tokens": [START_OF_TURN],
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": chat.template,
    }


@torch.inference_mode()
def _prove(folder: Path, model: Transformer, dtype: torch.dtype, compare: bool) -> dict[str, Any]:
    # As many tokens as reach every part of the model.
    length = min(model.shape.context, max(64, 2 * model.shape.sliding_window))
    tokens = torch.randint(model.shape.vocab_size, (2, length), generator=torch.Generator().manual_seed(0))
    expected = model(tokens)
    if dtype != torch.float32:
        rounded = Transformer(model.shape)
        rounded.load_state_dict({name: weight.to(dtype).float() for name, weight in model.state_dict().items()})
        expected = rounded.eval()(tokens)
    own = float((load_export(folder, torch.float32)(tokens) - expected).abs().max())
    theirs = _transformers_logits(folder, tokens) if compare else None
    difference = None if theirs is None else float((theirs - expected).abs().max())
    for name, found in ((_OWN, own), (_THEIRS, difference)):
        if found is not None and not found <= _TOLERANCE:
            raise BadInput(
                f"the export was not kept: its logits in {name} differ by {found:.3g} from the checkpoint's, and "
                f"{_TOLERANCE} is allowed; {_REMEDY[name]}"
            )
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": str(dtype).removeprefix("torch."),
        "own_max_difference": own,
        "transformers_max_difference": difference,
        "transformers_version": None if theirs is None else importlib.metadata.version("transformers"),
    }


def _transformers_logits(folder: Path, tokens: torch.Tensor) -> torch.Tensor | None:
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import AutoModelForCausalLM  # it takes seconds to import, and only this check needs it

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    logits: torch.Tensor = model.eval()(tokens).logits
    return logits


def _write_json(path: Path, values: dict[str, Any]) -> None:
    with writing(path):
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_program(export, sys.argv[1:], "usage: python -m model.export CONFIG.json"))
