"""Many texts generated from a JSON Lines file into another, in company and with resume.

Notable:
- An input line is an object with `prompt`, the beginning of a document, or `messages`, a conversation, and optionally
  `id` and the fields of `SamplingOptions` for this line. An output line names its input line, since answers come as
  they end.
- Each answer is written at once. A run that was killed goes on from there: an input line whose number and digest stand
  in the output is not generated again. The digest covers the line and the options, not the model.
- A bad line is reported and passed over.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from model.base.config_loading import parse_config
from model.base.errors import BadInput, did_you_mean
from model.base.json_lines import json_lines, json_value
from model.data.context_window import fitting_prompt
from model.data.conversations import conversation_of
from model.inference.requests import SamplingOptions
from model.inference.text_model import TextModel
from model.inference.text_stream import TextStream

_LONGEST_LINE = 16 << 20
"""Bytes of an input line."""
_WAITING_A_SLOT = 2
"""Lines that are read ahead for each slot of the engine."""


@dataclass
class BatchResult:
    """What became of the lines of a batch."""

    generated: int = 0
    there_before: int = 0
    bad: int = 0


@dataclass(frozen=True)
class _Line:
    number: int
    digest: str
    id: Any
    prompt: list[int]
    options: SamplingOptions


@dataclass
class _Growing:
    line: _Line
    stream: TextStream
    tokens: int = 0
    text: str = ""


def generate_batch(
    model: TextModel, options: SamplingOptions, source: Path, destination: Path, report: Callable[[str], None]
) -> BatchResult:
    """Generate for every line of `source` that has no answer in `destination` yet.

    Args:
        model: What generates.
        options: For lines that say nothing else.
        source: JSON Lines to read.
        destination: JSON Lines to add to.
        report: Told of each bad line, in a sentence.
    """
    result = BatchResult()
    done = _lines_done(destination)
    growing: dict[int, _Growing] = {}
    try:
        with source.open("rb") as lines, destination.open("ab") as answers:
            waiting = _to_generate(model, options, lines, source, done, result, report)
            more = True
            while more or growing:
                while more and len(growing) < model.engine.limits.slots * (1 + _WAITING_A_SLOT):
                    line = next(waiting, None)
                    more = line is not None
                    if line is not None:
                        request_id = model.engine.add(model.request(line.prompt, line.options))
                        growing[request_id] = _Growing(line, TextStream(model.chat.decode))
                _step(model, growing, answers, result)
    except OSError as error:
        raise BadInput(f"{error.filename or destination}: {error.strerror or error}") from error
    return result


def _step(model: TextModel, growing: dict[int, _Growing], answers: BinaryIO, result: BatchResult) -> None:
    for event in model.engine.step():
        one = growing[event.request_id]
        one.tokens += 1
        if event.shown_id is not None:
            one.text += one.stream.push(event.shown_id)
        if event.finish_reason is not None:
            line = growing.pop(event.request_id).line
            named = {} if line.id is None else {"id": line.id}
            answer = {"line": line.number, **named, "text": one.text + one.stream.finish()}
            answer |= {"finish_reason": event.finish_reason, "tokens": one.tokens, "digest": line.digest}
            answers.write(json_lines([answer]).encode())
            answers.flush()
            result.generated += 1


def _to_generate(
    model: TextModel,
    options: SamplingOptions,
    lines: BinaryIO,
    source: Path,
    done: set[tuple[int, str]],
    result: BatchResult,
    report: Callable[[str], None],
) -> Iterator[_Line]:
    number = 0
    while raw := lines.readline(_LONGEST_LINE + 1):
        number += 1
        try:
            if len(raw) > _LONGEST_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = lines.readline(_LONGEST_LINE)
                raise BadInput(f"the line is longer than {_LONGEST_LINE >> 20} MiB")
            if not raw.strip():
                continue
            digest = _digest(raw, options)
            if (number, digest) in done:
                result.there_before += 1
                continue
            yield _parsed(model, options, raw, number, digest)
        except BadInput as error:
            result.bad += 1
            report(f"{source}, line {number}: {error}")


def _parsed(model: TextModel, options: SamplingOptions, raw: bytes, number: int, digest: str) -> _Line:
    try:
        values = json_value(raw.removeprefix(b"\xef\xbb\xbf").decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"this is not JSON in UTF-8: {error}") from error
    if not isinstance(values, dict) or ("prompt" in values) == ("messages" in values):
        raise BadInput('an object with either "prompt" or "messages" is expected')
    wanted = _options_of(values, options)
    context, slots = model.engine.decoder.context, model.engine.decoder.slots
    if wanted.num_beams > slots:
        raise BadInput(f"{wanted.num_beams} beams need as many slots, and there are {slots}; see --slots")
    if "messages" in values:
        messages = conversation_of({"messages": values["messages"]}, "messages")
        prompt, dropped = fitting_prompt(model.chat, messages, context, wanted.max_new_tokens)
        if dropped:
            raise BadInput(f"the conversation does not fit into the model's context of {context} tokens; shorten it")
    elif isinstance(values["prompt"], str):
        prompt = model.chat.document(values["prompt"])
    else:
        raise BadInput("prompt must be a string")
    if len(prompt) >= context:
        raise BadInput(f"the prompt has {len(prompt)} tokens, and the model's context is {context}; shorten it")
    return _Line(number, digest, values.get("id"), prompt, wanted)


def _options_of(values: dict[str, Any], options: SamplingOptions) -> SamplingOptions:
    known = {name: value for name, value in asdict(options).items() if name not in ("stop_ids", "n_logprobs")}
    own = {name: value for name, value in values.items() if name not in ("prompt", "messages", "id")}
    for name in own:
        if name not in known:
            raise BadInput(f"unknown field {name}{did_you_mean(name, known) or '; known: ' + ', '.join(known)}")
    return parse_config(known | own, SamplingOptions, "options")


def _digest(raw: bytes, options: SamplingOptions) -> str:
    settings = json.dumps({name: str(value) for name, value in asdict(options).items()}, sort_keys=True)
    return hashlib.sha256(settings.encode() + b"\n" + raw.strip()).hexdigest()[:16]


def _lines_done(destination: Path) -> set[tuple[int, str]]:
    """Return number and digest of each input line that has an answer, and cut off an answer that a kill cut short."""
    done: set[tuple[int, str]] = set()
    if not destination.exists():
        return done
    with destination.open("r+b") as answers:
        whole = 0
        for raw in answers:
            try:
                answer = json.loads(raw)
                done.add((int(answer["line"]), str(answer["digest"])))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                if raw.endswith(b"\n"):
                    raise BadInput(f"{destination} holds something else than answers; name another file") from error
                break
            whole += len(raw)
        answers.truncate(whole)
    return done
