"""What the server counts, for Prometheus to collect."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """The server's counters, in a registry of its own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        name = "sluice"
        self.answers = Counter("answers", "Answers, by path and status.", ["path", "status"], name, registry=own)
        self.open = Gauge("open_requests", "Requests that are answered or wait.", namespace=name, registry=own)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of prompts.", namespace=name, registry=own)
        self.generated_tokens = Counter("generated_tokens", "Tokens generated.", namespace=name, registry=own)
        self.finished = Counter(
            "finished_choices", "Choices, by the reason of their end.", ["reason"], name, registry=own
        )
        self.first_token = Histogram(
            "first_token_seconds",
            "From a request to its first token.",
            namespace=name,
            registry=own,
            buckets=_SECONDS,
        )
        self.token = Histogram(
            "token_seconds", "Between two tokens of an answer.", namespace=name, registry=own, buckets=_TOKEN_SECONDS
        )

    def text(self) -> bytes:
        """Return all values in Prometheus's text format."""
        return generate_latest(self._registry)
