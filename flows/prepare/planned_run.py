"""A run before it begins: the recipe resolved, every stage planned, nothing built.

Notable: planning does what must be known before any stage can be named: it makes the synthetic web if the recipe asks
for one, resolves `latest`, and takes the digests of the chat files. It needs no Prefect.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from flows.prepare.assistant_chat import with_assistant
from flows.prepare.contamination_items import pin_contamination
from flows.prepare.finished_dataset import Pair, done_pairs, done_parts, done_program
from flows.prepare.init_model import pin_generator, pin_init
from flows.prepare.mixed_corpora import pin_mixture, refuse_own_corpus
from flows.prepare.optional_synthesis import NO_GENERATOR, without_generator, without_synthesis
from flows.recipe.named_files import chat_files, names_made_by_the_run
from flows.recipe.own_code import pin_own_code
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from flows.stages.plan import left_out, plan_stages
from flows.stages.program import ProgramContext, ProgramStage
from flows.stages.registry import stage_of_plan, with_own
from flows.store.run_record import newest_run_of, newest_runs
from flows.store.working_folder import synthetic_web_folder, working_folder
from model.base.errors import BadInput
from model.evaluation.tasks.cloze import CLOZE
from model.evaluation.tasks.task import load_task, task_path
from tasks.base.errors import PermanentError, UsageError
from tasks.base.fingerprint import digest
from tasks.dataset.data_files import pin_data_files, read_data_file
from tasks.dataset.jobs import following_jobs, part_jobs
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.stage import OWN_CODE, DatasetContext, PartJob, Stage
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig, resolve_crawl
from tasks.fetch.source_listing import kind_of, resolve_source
from tasks.own_code.named_code import load
from tasks.synthesis.config import CHAT_SETS
from tasks.synthetic_web.chat_data import PAIRS_FILE, QUESTIONS_FILE, TRAIN_FILE
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.starter_chat import write_starter_chat
from tasks.tokenize.tokenizer_training import completed

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass
class PlannedRun:
    """A recipe and a store, and the datasets that they mean."""

    recipe: Recipe
    settings: RunSettings
    store: Store
    source: SourceConfig
    """The source as resolved: the crawl's name, and the synthetic web's folder as base where there is one."""
    plans: dict[str, StagePlan]
    chat: dict[str, Path]
    """Local files of conversations, pairs, prompts, questions and evaluation tasks, where the recipe has them."""
    logger: Logger
    manifests: dict[str, Manifest] = field(default_factory=dict, kw_only=True)
    """Finished datasets by stage, filled as the run goes."""

    @property
    def crawl(self) -> str:
        """The crawl's name, or that the recipe needs none."""
        return self.source.crawl if self.recipe.needs_corpus else "no crawl"

    @property
    def data_stages(self) -> list[str]:
        """The names of all stages from a crawl to tokens, in the order of the work, the user's own among them."""
        own = (load(plan.config[OWN_CODE]) for plan in self.plans.values() if OWN_CODE in plan.config)
        return [stage.name for stage in with_own(own) if not isinstance(stage, ProgramStage)]

    def stage_called(self, name: str) -> Stage:
        """Return a planned stage by its name, one of the user's own included."""
        return stage_of_plan(self.plans[name])

    def context(self, plan: StagePlan) -> DatasetContext:
        """Return what a stage sees when its parts are counted."""
        return plan.context(self.store, self.manifests, self.source.model_dump(mode="json"), self.logger.info)

    def jobs(self, stage: Stage) -> list[PartJob]:
        """Return a job for each part of a stage whose upstream datasets are finished."""
        return part_jobs(stage, self.context(self.plans[stage.name]))

    def pairs(self, first: Stage, second: Stage) -> list[Pair]:
        """Return the jobs of two stages that are built together."""
        jobs = self.jobs(first)
        return list(zip(jobs, following_jobs(second, self.context(self.plans[second.name]), jobs), strict=True))

    def program(self, plan: StagePlan) -> tuple[ProgramContext, str]:
        """Return what a program sees of the world, and the digest of the datasets it is made from."""
        folder = working_folder(self.store, self.settings.scratch)
        context = ProgramContext(plan, self.plans, self.recipe.name, self.store, folder, self.chat)
        return context, digest({name: self.manifests[name].digest for name in plan.upstream})

    def is_finished(self, names: Iterable[str]) -> bool:
        """Return whether these stages are done: their manifests, every part, and what programs left."""
        stages = [self.stage_called(name) for name in names]
        for stage in stages:
            manifest = read_manifest(self.store, stage.name, self.plans[stage.name].fingerprint)
            if manifest is None:
                return False
            self.manifests[stage.name] = manifest
        following = {stage.runs_with: stage for stage in stages if stage.runs_with}
        return all(self._has_all(stage, following.get(stage.name)) for stage in stages if not stage.runs_with)

    def _has_all(self, stage: Stage, following: Stage | None) -> bool:
        if isinstance(stage, ProgramStage):
            return done_program(stage, *self.program(self.plans[stage.name])) is not None
        if following:
            pairs = self.pairs(stage, following)
            return len(done_pairs(self.store, pairs)) == len(pairs)
        jobs = self.jobs(stage)
        return len(done_parts(self.store, dict(enumerate(jobs)))) == len(jobs)


def is_done_already(flow: str, recipe: Recipe, settings: RunSettings) -> bool:
    """Return whether the store's newest run was this one, and all that it made is still there, with its report."""
    store = Store(settings.store)
    newest = next(newest_runs(store), None)
    if newest is None or (newest.flow, newest.state) != (flow, "completed"):
        return False
    if newest.settings.get("until") != settings.until:
        return False
    if newest.recipe != recipe.model_dump(mode="json") or not store.exists(newest.report):
        return False
    planned = plan_run(recipe, settings, goes_on=False, logger=logging.getLogger(__name__))
    if planned.plans != {name: stage.plan for name, stage in newest.stages.items()}:
        return False
    return planned.is_finished(name for name, stage in newest.stages.items() if stage.state == "done")


def plan_run(recipe: Recipe, settings: RunSettings, goes_on: bool, logger: Logger) -> PlannedRun:
    """Plan a run. For one that `goes_on` from a corpus in the store, `latest` is the crawl of the recipe's newest run.

    Raises UsageError for a recipe whose files or corpora are not there.
    """
    store = Store(settings.store)
    if without_generator(recipe):
        logger.warning(NO_GENERATOR)
        recipe = without_synthesis(recipe)
    recipe_of_store = pin_contamination(pin_own_code(pin_data_files(recipe, store)), store)
    source = recipe_of_store.source
    if recipe.synthetic_web:
        folder = synthetic_web_folder(store, settings.scratch)
        web = generate_synthetic_web(folder, recipe.synthetic_web)
        source = source.model_copy(update={"base": str(folder), "crawl": web.crawl, "warcs": "all"})
    if recipe.needs_corpus:
        source = source.model_copy(update={"kind": kind_of(source)})
        source = resolve_source(source.model_copy(update={"crawl": _crawl(recipe, source, store, goes_on, logger)}))
    folder = working_folder(store, settings.scratch) / "chat"
    chat = with_assistant(recipe, _chat_files(recipe, store, settings), folder / recipe.name)
    digests = {name: xxhash.xxh3_128_hexdigest(path.read_bytes()) for name, path in chat.items()}
    tasks = _evaluation_tasks(recipe)
    chat |= {name: path for name, (path, _) in tasks.items()}
    digests |= {name: digest for name, (_, digest) in tasks.items()}
    pinned = pin_mixture(recipe_of_store.model_copy(update={"source": source}), store)
    pinned = pin_generator(pin_init(pinned, store), store)
    _check_tokenizer(pinned, store)
    plans = plan_stages(pinned, source.crawl, digests)
    refuse_own_corpus(plans)
    for missing, names in left_out(pinned, plans).items():
        logger.info("left out, since this recipe makes no %s: %s", missing, ", ".join(names))
    return PlannedRun(recipe, settings, store, pinned.source, plans, chat, logger)


def _check_tokenizer(recipe: Recipe, store: Store) -> None:
    """Raise UsageError where the recipe's own tokenizer cannot be used, or has another number of tokens."""
    if recipe.tokenizer and recipe.tokenizer.path:
        try:
            completed(read_data_file(store, recipe.tokenizer.path).decode(), recipe.tokenizer)
        except (PermanentError, UnicodeDecodeError) as error:
            raise UsageError(str(error)) from error


def _crawl(recipe: Recipe, source: SourceConfig, store: Store, goes_on: bool, logger: Logger) -> str:
    """Return the crawl's name; a run that goes on stays with the crawl that was the latest when it began."""
    if source.crawl != "latest" or source.kind != "crawl":
        return source.crawl
    before = newest_run_of(store, recipe.name)
    if goes_on and before and "fetch" in before.stages:
        return before.crawl
    crawl = resolve_crawl(source)
    if before and before.crawl != crawl:
        logger.warning("latest is %s now; the newest run of %s was on %s", crawl, recipe.name, before.crawl)
    return crawl


def _evaluation_tasks(recipe: Recipe) -> dict[str, tuple[Path, str]]:
    """Return the path and the digest of each evaluation task, by its place; `UsageError` for one that is wrong."""
    try:
        named = {place: task_path(name) for place, name in enumerate(recipe.evaluate.tasks) if name != CLOZE}
        return {f"tasks.{place}": (path.resolve(), load_task(path).digest) for place, path in named.items()}
    except BadInput as error:
        raise UsageError(f"evaluate.tasks: {error}") from error


def _chat_files(recipe: Recipe, store: Store, settings: RunSettings) -> dict[str, Path]:
    """Return the local paths of the conversations, pairs, prompts and questions that the recipe names."""
    made_by_the_web = {
        **{"conversations": TRAIN_FILE, "prompts": TRAIN_FILE},
        **{"pairs": PAIRS_FILE, "questions": QUESTIONS_FILE},
    }
    files: dict[str, Path] = {}
    for where, name in chat_files(recipe).items():
        kind = where.partition(".")[2]
        if name in CHAT_SETS and name in names_made_by_the_run(where):
            continue  # known by its dataset's fingerprint
        if name == "synthetic_web":
            web = synthetic_web_folder(store, settings.scratch)
            files[kind] = web / made_by_the_web[kind.rpartition(".")[2]]
        elif name in names_made_by_the_run(where):
            files[kind] = working_folder(store, settings.scratch) / "chat" / "starter.jsonl"
            write_starter_chat(files[kind])
        else:
            files[kind] = Path(name).resolve()
    return files
