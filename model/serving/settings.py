"""What the server is told: where it listens, who may ask, and its limits."""

from dataclasses import dataclass
from pathlib import Path

from model.base.errors import BadInput


@dataclass(frozen=True)
class ServerSettings:
    """The server's settings; the command line has each of them but `body_seconds`."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    api_key: str | None = None
    """What a client must send as a bearer token; None asks for none, and only loopback addresses allow that."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside localhost and any IP address, by which the server may be called."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, beside its own, whose pages may call it: scheme://host[:port]."""
    model_name: str = "sluice"
    """The model's name in the interface."""
    span_index: Path | None = None
    """Folder of the corpus's span index; None answers no question for sources."""
    max_body_bytes: int = 1 << 20
    """Largest request body."""
    body_seconds: float = 20.0
    """Longest time in which a body must have come."""
    max_open: int = 128
    """Most requests that are answered or wait at once; more get 503."""
    max_open_per_client: int = 64
    """Most of them from one client (an API key, or an address); more get 429."""
    max_choices: int = 16
    """Most answers that one request may ask for: prompts times `n`."""
    max_new_tokens: int = 4096
    """Longest answer, in tokens, whatever is asked for."""
    queue_seconds: float = 60.0
    """Longest wait for the first token; then 503."""
    answer_seconds: float = 600.0
    """Longest time for a whole answer; then 504."""
    shutdown_seconds: float = 10.0
    """Time that open answers have to end by themselves when the server is stopped."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise BadInput(f"a port is between 0 and 65535: got {self.port}")
        for name in ("queue_seconds", "answer_seconds", "shutdown_seconds"):
            if not 0 <= getattr(self, name) < 1 << 31:
                raise BadInput(f"{name} must be a number of seconds, not negative: got {getattr(self, name)}")
        for name in ("max_body_bytes", "max_open", "max_open_per_client", "max_choices", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be at least 1: got {getattr(self, name)}")
