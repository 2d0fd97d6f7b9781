"""What a recipe says about synthetic data: who writes it, how it is asked, what is kept, and which sets are made."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.base.config import Config
from tasks.dataset.data_files import DataFile
from tasks.own_code.named_code import OwnCode

Format = Literal["faq", "math", "table", "tutorial"]
CHAT_SETS = {"backtranslated": "backtranslate", "responses": "responses", "preference_pairs": "pairs"}
"""Datasets that a training may name in place of a file, each with the section of `synthesis` that makes it."""
SYNTHETIC_SETS = ("rephrased", *CHAT_SETS)
"""All datasets of synthetic data."""


class GeneratorConfig(Config):
    """The model that writes, and how it draws."""

    export: str | None = None
    """Folder of an exported model, which our own engine then runs: a path, or `models/NAME/export` of the store.
    Without it SLUICE_GENERATOR_URL names an OpenAI-compatible endpoint, and SLUICE_GENERATOR_KEY holds its key."""
    export_digest: str | None = None
    """xxh3-128 of the export's weights; a run fills it in."""
    model: str = "sluice"
    """The model's name at the endpoint."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Divides the logits; 0 takes the likeliest token."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest reply, in tokens."""
    seed: int = Field(default=1, ge=0, lt=1 << 31)
    """Seed of the draws, where the endpoint takes one."""


class RequestsConfig(Config):
    """How the model is asked, and what may be spent; none of it changes what comes out."""

    concurrency: int = Field(default=8, ge=1, le=256)
    """Most requests at a time, those of all workers of this machine together."""
    requests_per_second: float = Field(default=50.0, gt=0)
    """Most requests begun in a second, likewise."""
    attempts: int = Field(default=6, ge=1)
    """How often a request may fail in a row before the part is given up, to be tried again later."""
    first_pause_seconds: float = Field(default=1.0, gt=0)
    """Pause after the first failure, in seconds; it doubles with each further one, with jitter."""
    longest_pause_seconds: float = Field(default=60.0, gt=0)
    """Longest pause, in seconds, unless the server asks for more by Retry-After."""
    longest_retry_after_seconds: float = Field(default=600.0, ge=0)
    """Longest pause that a server may ask for, in seconds."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """How long to wait for the next bytes of a reply, in seconds."""
    max_requests: int | None = Field(default=None, ge=1)
    """Most requests of a stage, those answered before included; each part has its share. null: no limit."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a stage's prompts and replies, likewise."""
    price_per_million_prompt_tokens: float = Field(default=0.0, ge=0)
    """For the dry run, in any currency."""
    price_per_million_reply_tokens: float = Field(default=0.0, ge=0)
    """For the dry run, in the same currency."""


class OutputConfig(Config):
    """What of the model's replies is kept."""

    min_chars: int = Field(default=10, ge=1)
    """Shortest reply, in code points."""
    max_chars: int = Field(default=50_000, ge=1)
    """Longest reply, in code points."""
    max_repetition: float = Field(default=0.3, ge=0, le=1)
    """Largest share of a reply's characters that stand in word 5-grams which occur twice (Gopher, arXiv:2112.11446)."""
    same_language: bool = True
    """Whether a reply must be in its document's language, where both are known."""
    refusals: bool = True
    """Whether a reply that refuses ("I'm sorry, but I cannot ...") is dropped."""
    evaluation_sets: tuple[DataFile, ...] = ()
    """JSONL files of evaluation questions; a reply that holds eight words of one in a row, or all of a shorter one, is
    dropped."""


class FromDocuments(Config):
    """Which documents of the corpus a model is shown."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the documents, chosen by the hash of their ids."""
    max_document_chars: int = Field(default=4000, ge=100)
    """Beginning of a document that is shown, in code points."""


class RephraseConfig(FromDocuments):
    """Documents written anew in other formats (arXiv:2604.13977)."""

    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = ("faq", "math", "table", "tutorial")
    """The formats."""
    formats_per_document: int = Field(default=1, ge=1, le=4)
    """How many of them each document is written in, drawn by the hash of its id."""


class BacktranslateConfig(FromDocuments):
    """Documents as answers, to which a model writes the instruction (arXiv:2308.06259)."""

    min_score: int = Field(default=4, ge=1, le=5)
    """Least score that the model gives the pair, from 1 to 5; 1 keeps all and asks for no score."""


class ResponsesConfig(Config):
    """Responses to prompts."""

    prompts: DataFile
    """JSONL file, one {"prompt": ...} or {"messages": [...]} a line; `question` counts as `prompt`."""
    samples: int = Field(default=1, ge=1, le=64)
    """Responses to each prompt, with seeds one after the other."""
    prompts_per_part: int = Field(default=1000, ge=1)
    """Prompts of a part."""


class PairsConfig(Config):
    """Pairs of a better and a worse response, out of the sampled ones."""

    judge: Literal["model"] | OwnCode = "model"
    """What scores a response: `model` asks the generator, or FILE.py:NAME, a function of the prompt's
    and the response's text that returns a number."""
    min_margin: float = Field(default=1.0, ge=0)
    """Least difference between the best score and the worst one of a prompt."""


class SynthesisConfig(Config):
    """Synthetic data: each set that has a section is made."""

    generator: GeneratorConfig = GeneratorConfig()
    """Who writes."""
    optional: bool = False
    """Whether a run goes on without these sets where no generator is named, and without one that keeps nothing."""
    requests: RequestsConfig = RequestsConfig()
    """How it is asked, and what may be spent."""
    output: OutputConfig = OutputConfig()
    """What is kept."""
    rephrase: RephraseConfig | None = None
    """Documents in other formats: the dataset `rephrased`, for `mixture.others`."""
    backtranslate: BacktranslateConfig | None = None
    """Instructions for documents: `backtranslated`, for `sft.conversations`."""
    responses: ResponsesConfig | None = None
    """Responses to prompts: `responses`, for `sft.conversations`."""
    pairs: PairsConfig | None = None
    """Better and worse responses: `preference_pairs`, for `preference.pairs`."""

    @model_validator(mode="after")
    def _pairs_have_responses(self) -> Self:
        if self.pairs and (self.responses is None or self.responses.samples < 2):
            raise ValueError("pairs needs responses with samples of at least 2 to choose from")
        return self
