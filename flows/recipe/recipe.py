"""The recipe: everything that decides what comes out of a run, as one frozen model.

Notable: each section's fields stand beside the code that reads them; here they are only put together. The sections of
training, evaluation and export are those of the model's own configs (model/base/config.py, which needs no torch). The
recipe is every flow's parameter, and Prefect draws its form from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self, get_args

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flows.recipe.earlier_crawls import EarlierCrawlsConfig
from flows.recipe.launch_config import LaunchConfig
from flows.recipe.trial_config import LadderConfig, TuneConfig
from model.base.config import EvaluateSection, ExportSection, ObjectiveName, PretrainSection, SftSection
from model.base.sizes import reserved_ids, sizes_of_depth
from model.preferences.config import PreferenceSection
from model.reinforcement.config import RlSection
from tasks.addresses.secrets_in_addresses import is_chain, refuse_secret
from tasks.base.config import Config
from tasks.classify.training import ClassifierConfig
from tasks.contamination.check import ContaminationConfig
from tasks.conversations.config import AssistantConfig
from tasks.corpus.harm import HarmConfig
from tasks.dedup.edges import DuplicatesConfig
from tasks.dedup.minhash import MinHashConfig
from tasks.extract.config import ExtractionConfig
from tasks.fetch.crawl_listing import SourceConfig
from tasks.filter.config import FilterConfig
from tasks.own_code.named_code import OwnCode, code_name
from tasks.personal_data.replacing import PersonalDataConfig
from tasks.synthesis.config import CHAT_SETS, SynthesisConfig
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.tokenize.best_fit import PackingConfig
from tasks.tokenize.compression import CompressionConfig
from tasks.tokenize.encoding import TokensConfig
from tasks.tokenize.mixture import MixtureConfig
from tasks.tokenize.tokenizer_training import TokenizerConfig


class _SizesFollow:
    """Marks a section whose shape may leave sizes out, or give a depth instead, so that its JSON schema says so."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        section = handler.resolve_ref_schema(schema)
        definition = handler.resolve_ref_schema(section["properties"]["shape"])
        del definition["required"]  # a depth is enough
        depth = {"type": "integer", "minimum": 1, "title": "Depth", "description": _DEPTH}
        definition["properties"] = {"depth": depth} | definition["properties"]
        return schema


_DEPTH = "Sets layers, sizes and heads together, except those that are given (model/base/sizes.py)."


ClassifierName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""A classifier's name: lower-case letters, digits, underscores."""


class Recipe(Config):
    """From a crawl to a chat model: a section for each stage."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")
    """Short name for runs and models: lower-case letters, digits, dots, dashes."""
    source: SourceConfig = SourceConfig()
    """Which crawl, which of its WARC files, from where."""
    synthetic_web: SyntheticWebConfig | None = None
    """The synthetic web to generate and crawl in place of a real one; then `source.base` is not used."""
    extract: ExtractionConfig = ExtractionConfig()
    """From HTML to text."""
    filter: FilterConfig = FilterConfig()
    """Which documents are kept."""
    signatures: MinHashConfig = MinHashConfig()
    """MinHash signatures of the documents."""
    duplicates: DuplicatesConfig = DuplicatesConfig()
    """How signatures are joined into clusters of near-duplicates."""
    earlier_crawls: EarlierCrawlsConfig = EarlierCrawlsConfig()
    """What a watched crawl takes over from the crawls before it."""
    classifiers: dict[ClassifierName, ClassifierConfig] = Field(default_factory=dict)
    """Linear classifiers of text by name, each trained from examples in the run, and what their scores decide."""
    harm: HarmConfig | None = None
    """Scores for harmful content and bias by a lexicon, for the documents that passed the filter; without it there are
    none. A classifier in `classifiers` is the other way."""
    contamination: ContaminationConfig | None = None
    """Evaluation items in the documents: named, and removed if so wished; without it nothing is looked for."""
    personal_data: PersonalDataConfig | None = None
    """Personal data in the kept texts, replaced and counted; without it texts stay as they are."""
    synthesis: SynthesisConfig | None = None
    """Synthetic data: text that a model writes, out of the corpus or out of prompts; without it none is made."""
    tokenizer: TokenizerConfig | None = TokenizerConfig()
    """The vocabulary and what it is trained on; null: the run ends with the corpus, and nothing is tokenized."""
    tokens: TokensConfig = TokensConfig()
    """Encoding, and the split by document."""
    mixture: MixtureConfig | None = None
    """Other corpora to train on as well, and how often documents count; without it the run's own, each once."""
    packing: PackingConfig = PackingConfig()
    """From documents to training sequences."""
    ladder: LadderConfig = LadderConfig()
    """The small models that `sluice ladder` trains to measure a scaling law; a run does not train them."""
    tune: TuneConfig = TuneConfig()
    """The search for learning rates of `sluice tune`; a run does not make it."""
    compression: CompressionConfig | None = None
    """How well the tokenizer compresses held-out text, beside others that are named here; without it nothing is
    measured."""
    stages: tuple[OwnCode, ...] = ()
    """Stages of your own, which the run builds with the data: FILE.py:NAME or MODULE:NAME; see docs/extending.md."""
    pretrain: Annotated[PretrainSection, _SizesFollow()] | None = None
    """Pretraining; without it the run ends with packed tokens."""
    assistant: AssistantConfig | None = None
    """Who the assistant is and what tools it has: conversations made from it are learnt in finetuning, and questions in
    other words are asked in the evaluation. Without it only what `sft.conversations` holds is learnt."""
    sft: SftSection | None = None
    """Finetuning; without it the base model is evaluated and exported."""
    preference: PreferenceSection | None = None
    """Preference finetuning of the newest model before it; without it the finetuned model is the last."""
    rl: RlSection | None = None
    """Reinforcement learning of the newest model before it; without it there is none."""
    own_rewards: tuple[OwnCode, ...] = ()
    """Reward functions of your own, which `rl.rewards` may name: FILE.py:NAME or MODULE:NAME; see docs/extending.md."""
    evaluate: EvaluateSection = EvaluateSection()
    """Evaluation of the finished model."""
    export: ExportSection = ExportSection()
    """Handing the model to other programs."""
    launch: LaunchConfig = LaunchConfig()
    """On which machines training runs. It changes nothing that comes out."""

    @model_validator(mode="before")
    @classmethod
    def _sizes_follow(cls, values: Any) -> Any:
        """Fill in the model's vocabulary, context and what follows its depth, where they are not given."""
        if not isinstance(values, dict) or not isinstance(values.get("pretrain"), dict):
            return values
        shape, objective = values["pretrain"].get("shape"), values["pretrain"].get("objective", "causal")
        if not isinstance(shape, dict):
            return values
        vocabulary = _given(values, "tokenizer", "vocab_size", TokenizerConfig())
        context = _given(values, "packing", "context", PackingConfig())
        if type(vocabulary) is type(context) is int and objective in get_args(ObjectiveName):
            vocabulary += reserved_ids(objective, context)
        sizes = {"vocab_size": vocabulary, "context": context} | shape
        if (depth := sizes.pop("depth", None)) is not None:
            try:
                sizes |= sizes_of_depth(depth, sizes)
            except ValueError as error:
                raise ValueError(f"pretrain.shape: {error}") from error
        return values | {"pretrain": values["pretrain"] | {"shape": sizes}}

    @model_validator(mode="before")
    @classmethod
    def _profile_follows_the_format(cls, values: Any) -> Any:
        """Hold Markdown to the rules that know it, unless the recipe names others."""
        filtering = values.get("filter", {}) if isinstance(values, dict) else None
        if not isinstance(filtering, dict) or "profiles" in filtering:
            return values
        is_markdown = _given(values, "extract", "format", ExtractionConfig()) == "markdown"
        return values | {"filter": filtering | {"profiles": ["structured"]}} if is_markdown else values

    @model_validator(mode="before")
    @classmethod
    def _tools_follow_the_assistant(cls, values: Any) -> Any:
        """Give the tokenizer tokens for the assistant's tools, and the evaluation the tools, unless the recipe does."""
        assistant = values.get("assistant") if isinstance(values, dict) else None
        tools = assistant.get("tools") if isinstance(assistant, dict) else None
        if not tools:
            return values
        tokenizer, evaluate = values.get("tokenizer", {}), values.get("evaluate", {})
        if isinstance(tokenizer, dict):
            values = values | {"tokenizer": {"tools": True} | tokenizer}
        return values | {"evaluate": {"tools": tools} | evaluate} if isinstance(evaluate, dict) else values

    @model_validator(mode="after")
    def _addresses_are_plain(self) -> Self:
        for field, value in _texts("", self.model_dump(mode="json")):
            refuse_secret(value, field)
            if is_chain(value):
                raise ValueError(f"{field} chains addresses with `::`: give the address of one place")
        return self

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        """Refuse sections that contradict each other, before a run finds out hours later."""
        if self.pretrain:
            if self.tokenizer is None:
                raise ValueError("pretrain needs tokens: tokenizer cannot be null")
            if self.pretrain.shape.vocab_size < self.tokenizer.vocab_size:
                raise ValueError(
                    f"pretrain.shape.vocab_size is {self.pretrain.shape.vocab_size}, less than "
                    f"tokenizer.vocab_size {self.tokenizer.vocab_size}; leave it out and it follows the tokenizer"
                )
            if self.pretrain.shape.context != self.packing.context:
                raise ValueError(
                    f"pretrain.shape.context is {self.pretrain.shape.context}, but packing.context is "
                    f"{self.packing.context}; leave it out and it follows the packing"
                )
            self._objective_agrees(self.pretrain)
            if self.sft and self.sft.base:
                raise ValueError("sft.base takes the place of pretraining: leave out the one or the other")
        elif self.sft and self.sft.base:
            if not (self.tokenizer and self.tokenizer.path):
                raise ValueError("sft.base needs tokenizer.path, the model's own tokenizer, and tokenizer.vocab_size")
        elif missing := [name for name in ("sft", "preference", "rl") if getattr(self, name)]:
            raise ValueError(f"{missing[0]} needs a pretrain section: there is no model to finetune")
        if self.rl:
            self._rewards_are_known(self.rl)
        if self.assistant and "sft" not in self.model_fields_set:
            raise ValueError("assistant needs a sft section: its conversations are learnt in finetuning")
        if self.sft and self.assistant and self.assistant.tools and not (self.tokenizer and self.tokenizer.tools):
            raise ValueError("assistant.tools needs tokenizer.tools to be true: a model calls them by tokens")
        if self.source.select and not self.source.select.may_be_in(self.filter.languages):
            raise ValueError(
                "source.select.languages and filter.languages have no language in common, so nothing would be kept"
            )
        if self.mixture:
            self._mixture_agrees(self.mixture)
        if self.synthetic_web and self.source.select:
            raise ValueError("source.select needs a columnar index: the synthetic web has none")
        chat = [self.evaluate.questions, self.preference and self.preference.pairs, self.rl and self.rl.prompts]
        if self.sft:
            chat += [self.sft.conversations, *(one.conversations for one in self.sft.mixture)]
        if not self.synthetic_web and "synthetic_web" in chat:
            raise ValueError("`synthetic_web` chat data needs a synthetic_web section")
        for name in CHAT_SETS.keys() & set(chat):
            if not (self.synthesis and getattr(self.synthesis, CHAT_SETS[name])):
                raise ValueError(f"`{name}` as chat data needs a section synthesis.{CHAT_SETS[name]}")
        required = {self.sft and self.sft.conversations, self.preference and self.preference.pairs}
        if self.synthesis and self.synthesis.optional and (alone := CHAT_SETS.keys() & required):
            raise ValueError(
                f"synthesis.optional is for sets of sft.mixture: a training cannot do without `{min(alone)}`"
            )
        if self.assistant and self.sft and self.sft.conversations in CHAT_SETS:
            raise ValueError(
                "the assistant's conversations go with a file: name the synthetic ones in sft.mixture, and another set "
                "in sft.conversations"
            )
        return self

    @property
    def needs_corpus(self) -> bool:
        """Whether anything is made from a crawl: not where another's model is finetuned on files alone."""
        if not (self.sft and self.sft.base):
            return True
        sets = {self.sft.conversations, *(one.conversations for one in self.sft.mixture)}
        sets |= {self.preference.pairs} if self.preference else set()
        asks = {"cloze", "search"} & {*self.evaluate.tasks, *self.evaluate.tools}
        replays = self.sft.replay or (self.rl and self.rl.replay)
        return bool(replays or sets & CHAT_SETS.keys() or asks or self.stages or self.synthetic_web)

    def _objective_agrees(self, pretrain: PretrainSection) -> None:
        assert self.tokenizer
        reserved = reserved_ids(pretrain.objective, pretrain.shape.context)
        if pretrain.shape.vocab_size < self.tokenizer.vocab_size + reserved:
            raise ValueError(
                f"pretrain.objective {pretrain.objective} needs {reserved} ids beside the tokenizer's, and "
                f"pretrain.shape.vocab_size is {pretrain.shape.vocab_size}; leave it out and it follows"
            )
        chats = self.sft or self.preference or self.rl or self.evaluate.questions
        if pretrain.objective != "causal" and chats:
            raise ValueError(
                f"a model of pretrain.objective {pretrain.objective} cannot be finetuned to chat or asked questions; "
                "leave sft and evaluate.questions out, or set pretrain.objective to causal"
            )

    def _rewards_are_known(self, rl: RlSection) -> None:
        from model.reinforcement.rewards import REWARDS  # tokenizers too, which few recipes need

        known = [*REWARDS, *map(code_name, self.own_rewards)]
        for name in rl.rewards:
            if name not in known:
                raise ValueError(f"rl.rewards: there is no reward {name!r}; there are: {', '.join(known)}")

    def _mixture_agrees(self, mixture: MixtureConfig) -> None:
        if unknown := sorted(mixture.by_quality.keys() - self.classifiers.keys()):
            raise ValueError(f"mixture.by_quality names {', '.join(unknown)}, which is not among the classifiers")
        for name, other in mixture.others.items():
            if other.is_made_by_the_run and self.synthesis and self.synthesis.rephrase:
                continue
            if other.store is None and other.crawl is None and other.corpus is None:
                raise ValueError(f"mixture.others.{name} says no store, no crawl and no corpus: give one of them")


def _given(values: dict[str, Any], section: str, field: str, default: Config) -> Any:
    """A field as the recipe gives it, or the section's default."""
    given = values.get(section)
    return (given if isinstance(given, dict) else {}).get(field, getattr(default, field))


def _texts(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield (field, text) of every text in plain values."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(f"{field}.{name}" if field else name, item)
    elif isinstance(value, Sequence):
        for place, item in enumerate(value):
            yield from _texts(f"{field}.{place}", item)
