"""watch-crawls: on a schedule, carries a recipe out on each crawl that has appeared since the last one."""

from prefect import flow, get_run_logger

from flows.chat import crawl_to_chat
from flows.engine.settings_parameter import SettingsParameter
from flows.prepare.new_crawls import finished_crawls, new_crawls, recipe_on
from flows.recipe.named_files import require_named_files
from flows.recipe.parameter import RecipeParameter
from tasks.base.errors import UsageError
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import known_crawls, usual_names


@flow(name="watch-crawls", flow_run_name="{recipe.name}: new crawls", persist_result=False)
def watch_crawls(recipe: RecipeParameter, settings: SettingsParameter, with_earlier: bool = True) -> list[str]:
    """Run crawl-to-chat on each crawl that the source lists and the store has not seen, oldest first; return them.

    A crawl that fails ends the run, and the next one begins with it again.

    Args:
        recipe: What to make of each crawl. One that names a crawl begins with it, another one with the newest. Its
            section `earlier_crawls` says what else is taken over from the crawls before.
        settings: Where and how it runs. The store's run records say which crawls it has seen.
        with_earlier: Whether each model also learns from the corpora of the crawls before, as they lie in the store.
    """
    if recipe.synthetic_web:
        raise UsageError("watch-crawls: the recipe crawls the synthetic web, which has no second crawl.")
    if with_earlier and recipe.mixture and recipe.mixture.own.weight is not None:
        raise UsageError(
            "watch-crawls: a mixture by weights says nothing of earlier crawls: set with_earlier to false."
        )
    require_named_files(recipe, settings)
    store = Store(settings.store)
    listed = usual_names(known_crawls(recipe.source))
    flow_name = crawl_to_chat.name
    crawls = new_crawls(listed, finished_crawls(store, recipe.name, flow_name), recipe.source.crawl)
    get_run_logger().info("%d crawls listed; new: %s", len(listed), ", ".join(crawls) or "none")
    for crawl in crawls:
        earlier = finished_crawls(store, recipe.name, flow_name)
        crawl_to_chat(recipe_on(recipe, crawl, earlier, store, with_earlier), settings)
    return crawls
