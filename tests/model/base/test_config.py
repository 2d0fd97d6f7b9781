"""What a loop's config decides by itself: where compiling pays."""

import dataclasses
from typing import Literal

import pytest

from model.base.config import LoopConfig
from model.base.config_loading import config_as_json, parse_config

LOOP = LoopConfig(steps=300, global_batch_size=16, compile="auto")
SMALL = 256 * 13e6
"""FLOP of a sequence of first-crawl's model."""


def test_auto_compiles_runs_that_are_long_for_their_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "sh")  # any program that is there
    assert not LOOP.compiles(SMALL, "cpu"), "the steps of first-crawl take two minutes"
    long = dataclasses.replace(LOOP, steps=600)
    assert long.compiles(SMALL, "cpu") and not long.compiles(SMALL, "cuda")
    assert long.compiles(1e4 * SMALL, "cuda")


def test_auto_compiles_nothing_on_a_cpu_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not dataclasses.replace(LOOP, steps=10**6).compiles(SMALL, "cpu")
    assert dataclasses.replace(LOOP, compile=True).compiles(SMALL, "cpu"), "what is asked for is done, or fails"


@pytest.mark.parametrize("way", [False, True, "auto"])
def test_each_way_is_read_back(way: Literal[False, True, "auto"]) -> None:
    loop = dataclasses.replace(LOOP, compile=way)
    assert parse_config(config_as_json(loop), LoopConfig, "here") == loop
