"""What a recipe says about the assistant that its model becomes."""

import re
from typing import Literal

from pydantic import Field

from tasks.base.config import Config

ToolName = Literal["calculator", "search"]


class AssistantConfig(Config):
    """Who the assistant is, and what tools it has; its conversations are made from these few lines."""

    name: str = Field(default="Sluice", min_length=1, max_length=60)
    """Its name."""
    kind: str = Field(default="a small language model", min_length=1, max_length=100)
    """What it is, with an article: `a small language model`."""
    maker: str = Field(default="the users of Sluice", min_length=1, max_length=100)
    """Who made it."""
    purpose: str = Field(default="I can answer short questions about what I have read.", min_length=1, max_length=400)
    """What it says that it can do."""
    limits: str = Field(default="I can be wrong, so please check what I say.", min_length=1, max_length=400)
    """What it says about its mistakes."""
    tools: tuple[ToolName, ...] = ()
    """Tools whose use it is taught: `calculator`, and `search` over the run's own corpus. The tokenizer gets tokens for
    them, and the evaluation asks with them."""
    examples: int = Field(default=200, ge=0, le=100_000)
    """Conversations for each tool, and for system prompts."""
    seed: int = Field(default=1, ge=0, lt=1 << 64)
    """Seeds the names, numbers and words in them."""

    @property
    def noun(self) -> str:
        """What it is, without the article."""
        return re.sub(r"^(a|an|the)\s+", "", self.kind, flags=re.IGNORECASE)
