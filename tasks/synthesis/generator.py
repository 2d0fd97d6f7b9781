"""The generator of a part: replies from the cache of the store or from the endpoint, in order, within a budget.

Notable:
- Each reply is written to the store as soon as it has come, under the digest of all that was asked and of whom. A part
  that is built again, after a kill too, asks for nothing that was answered; nor does another run that asks the same.
- The budget is a stage's. Each part has a fixed share of it, so no worker has to know of another; replies from the
  cache count, as they were paid for once. Before a request its longest reply is reserved, so a budget is kept to.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Self

from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.base.plain_data import parse_json
from tasks.dataset.store import Store
from tasks.synthesis.config import GeneratorConfig, RequestsConfig
from tasks.synthesis.endpoint import Address, Endpoint, Reply
from tasks.synthesis.own_engine import served_export

_GROUP = 4
"""Requests of a group for each that may run at a time."""


@dataclass(frozen=True)
class Request:
    """What a model is asked."""

    messages: tuple[Mapping[str, str], ...]
    seed: int

    def body(self, config: GeneratorConfig) -> dict[str, Any]:
        """Return the request as the interface has it."""
        return {
            "model": config.model,
            "messages": [dict(message) for message in self.messages],
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
            "seed": self.seed,
        }

    def most_tokens(self, config: GeneratorConfig) -> int:
        """Return a bound of what it may take: a token has at least a byte, a message a few more for its frame."""
        return config.max_tokens + sum(len(message["content"].encode()) + 8 for message in self.messages)


@dataclass(frozen=True)
class Share:
    """A part's place among all parts of its stage, by what they are made from."""

    before: int = 0
    own: int = 1
    total: int = 1

    def of(self, budget: int | None) -> int | None:
        """Return the part's share of a budget; the shares of all parts make up the whole."""
        if budget is None:
            return None
        total = max(1, self.total)
        return budget * (self.before + self.own) // total - budget * self.before // total


class Generator:
    """Answers a part's requests; use it as a context."""

    def __init__(self, store: Store, config: GeneratorConfig, requests: RequestsConfig, share: Share) -> None:
        self._store, self._config, self._requests = store, config, requests
        self._left = {"requests": share.of(requests.max_requests), "tokens": share.of(requests.max_tokens)}
        self._entered = ExitStack()
        self._endpoint: Endpoint | None = None
        self.counters = {"requests": 0, "requests_from_cache": 0, "prompt_tokens": 0, "reply_tokens": 0}
        """What the requests came to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._entered.close()

    def replies(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the reply to each request, in order; `concurrency` of them are asked at a time.

        Raises PermanentError where the part's share of the budget is spent; all that was answered is kept.
        """
        waiting = iter(requests)
        with ThreadPoolExecutor(self._requests.concurrency) as threads:
            while group := list(islice(waiting, _GROUP * self._requests.concurrency)):
                while group:
                    affordable = self._affordable(group)
                    yield from self._answered(group[:affordable], threads)
                    group = group[affordable:]

    def _affordable(self, group: list[Request]) -> int:
        """Return how many requests of a group the budget allows at once; raises PermanentError where it allows none."""
        requests, tokens = self._left["requests"], self._left["tokens"]
        allowed = len(group) if requests is None else min(len(group), requests)
        if tokens is not None:
            most = max(request.most_tokens(self._config) for request in group)
            allowed = min(allowed, tokens // most)
        if allowed < 1:
            raise PermanentError(
                f"The budget is spent (left for this part: {_left(requests)} requests, {_left(tokens)} tokens). Raise "
                "synthesis.requests.max_requests or max_tokens and run again: what was answered is not asked again."
            )
        return allowed

    def _answered(self, group: list[Request], threads: ThreadPoolExecutor) -> Iterator[Reply]:
        keys = [self._key(request) for request in group]
        asked = dict(zip(keys, group, strict=True))  # equal requests are asked once
        known = {key: reply for key in asked if (reply := self._cached(key))}
        missing = [key for key in asked if key not in known]
        if missing:
            endpoint = self._opened()
            new = threads.map(lambda key: self._ask(endpoint, key, asked[key]), missing)
            known |= dict(zip(missing, new, strict=True))
        self._count(known, len(missing))
        yield from (known[key] for key in keys)

    def _count(self, replies: Mapping[str, Reply], asked: int) -> None:
        self.counters["requests"] += len(replies)
        self.counters["requests_from_cache"] += len(replies) - asked
        for reply in replies.values():
            self.counters["prompt_tokens"] += reply.prompt_tokens
            self.counters["reply_tokens"] += reply.completion_tokens
        spent = sum(reply.prompt_tokens + reply.completion_tokens for reply in replies.values())
        for what, amount in (("requests", len(replies)), ("tokens", spent)):
            left = self._left[what]
            self._left[what] = None if left is None else left - amount

    def _key(self, request: Request) -> str:
        who = self._config.export_digest if self._config.export else self._address.url
        return digest({"who": who, "body": request.body(self._config)})

    @cached_property
    def _address(self) -> Address:
        return Address.of_environment()

    def _place(self, key: str) -> str:
        return f"generations/{key[:2]}/{key}.json"

    def _cached(self, key: str) -> Reply | None:
        try:
            return Reply(**parse_json(self._store.read_bytes(self._place(key))))
        except (OSError, ValueError, TypeError):  # none, or damaged
            return None

    def _ask(self, endpoint: Endpoint, key: str, request: Request) -> Reply:
        reply = endpoint.ask(request.body(self._config), key)
        self._store.write_bytes(self._place(key), json.dumps(asdict(reply)).encode())
        return reply

    def _opened(self) -> Endpoint:
        """Return the endpoint, which is started or opened where something is asked for the first time."""
        if self._endpoint is None:
            if self._config.export:
                served = served_export(self._store, self._config.export, self._config.model, self._requests)
                address = self._entered.enter_context(served)
            else:
                address = self._address
            self._endpoint = Endpoint(address, self._requests)
            self._entered.callback(self._endpoint.close)
        return self._endpoint


def _left(amount: int | None) -> str:
    return "any number of" if amount is None else f"{amount:,}"
