"""The earlier_crawls section of a recipe."""

from tasks.base.config import Config


class EarlierCrawlsConfig(Config):
    """What `watch-crawls` takes over from the crawls before. A run by itself does not read this section."""

    duplicates: bool = False
    """Whether a document that an earlier crawl had already is removed: its signatures are compared, its text is not
    read (`duplicates.earlier`)."""
    model: bool = False
    """Whether pretraining goes on from the model of the crawl before, with its tokenizer (`pretrain.init`,
    `tokenizer.path`)."""
