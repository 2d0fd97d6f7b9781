"""Low-rank adapters: what they train, and what is left of them in the model that is handed on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.checkpointing import load_model, newest_valid_checkpoint
from model.export import export
from model.inference.loading import load_export, load_trained
from model.network.low_rank import add_adapters, initialise_adapters, merge_adapters
from model.network.transformer import Transformer
from model.pretrain import pretrain
from model.sft import finetune
from tests.model.objectives.test_loss import tiny_model
from tests.model.tiny_corpus import SHAPE, TinyCorpus, read_metrics, write_json

TOKENS = torch.randint(384, (2, 32), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("changes", [{}, {"head_norms": False, "attention_bias": "qkv"}], ids=["plain", "biases"])
@torch.no_grad()
def test_new_adapters_change_nothing_and_merged_ones_give_equal_logits(changes: dict[str, Any]) -> None:
    model = tiny_model(**changes)
    for bias in (weight for name, weight in model.named_parameters() if name.endswith("bias")):
        bias.normal_(generator=torch.Generator().manual_seed(2))
    plain = model(TOKENS)
    add_adapters(model, 4, 2.0)
    initialise_adapters(model, 0)
    torch.testing.assert_close(model(TOKENS), plain)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * 7 * SHAPE["layers"], "two matrices for each linear layer of each block"
    assert {name.rpartition(".")[2] for name in trained} == {"lora_A", "lora_B"}
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B"):
            parameter.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(1))
    adapted = model(TOKENS)
    assert not torch.allclose(adapted, plain, atol=1e-2)
    merge_adapters(model)
    torch.testing.assert_close(model(TOKENS), adapted, atol=1e-4, rtol=1e-4)
    assert model.state_dict().keys() == tiny_model(**changes).state_dict().keys()


@torch.no_grad()
def test_the_export_of_a_finetuned_adapter_has_its_logits(corpus: TinyCorpus, tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "sft"
    with torch.enable_grad():
        assert pretrain(corpus.pretrain_config(base, 10)) == 0
        config = corpus.sft_config(folder, base, 6, checkpoint_every=3)
        lora = {"lora": {"rank": 4, "alpha": 8.0}, "optimizer": {"lr_scale": 1.0}}
        values = json.loads(config.read_text())
        assert finetune(write_json(config, values | lora)) == 0
    samples = [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "sample"]
    assert [event["step"] for event in samples] == [0, 0, 0, 6, 6, 6]
    assert samples[0].keys() == {"event", "step", "prompt", "reply", "expected"}
    assert samples[0]["reply"] != samples[3]["reply"], "the adapters speak too"
    with torch.enable_grad():
        longer = values | lora | {"loop": values["loop"] | {"steps": 8}}
        assert finetune(write_json(config, longer)) == 0
    assert "resume" in {event["event"] for event in read_metrics(folder / "metrics.jsonl")}, "adapters are resumed"
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    adapted = Transformer(checkpoint.progress.shape)
    add_adapters(adapted, 4, 2.0)
    load_model(checkpoint, adapted)
    start = load_trained(base, torch.float32)
    for name, weight in start.state_dict().items():
        assert torch.equal(adapted.state_dict()[name], weight), "the model's own weights are as they were"
    assert not torch.allclose(adapted(TOKENS), start(TOKENS), atol=1e-2)
    handed = {"model": str(folder), "tokenizer": str(corpus.tokenizer), "output": str(tmp_path / "export")}
    assert export(write_json(tmp_path / "export.json", handed)) == 0
    for merged in (load_trained(folder, torch.float32), load_export(tmp_path / "export", torch.float32)):
        torch.testing.assert_close(merged(TOKENS), adapted(TOKENS), atol=1e-4, rtol=1e-4)
