"""The evaluation task that lets a model write, where no questions are asked: held-out documents continued.

Notable: the tokens are drawn with a seed, since a small model's likeliest text repeats itself. The pretrained model
writes, not the finetuned one: these are documents, not conversations.
"""

from dataclasses import asdict

from model.base.device import activation_dtype
from model.data.chat_format import load_chat_format
from model.data.token_cache import named_token_cache
from model.evaluation.results import TextSample
from model.evaluation.subject import Subject
from model.inference.engine import engine_of
from model.inference.loading import load_trained, require_decoder
from model.inference.requests import GenerationRequest, SamplingOptions
from model.objectives.held_out import held_out_documents
from model.objectives.objectives import CAUSAL

_SAMPLES = 3
_PROMPT_TOKENS = 16
_TEMPERATURE, _TOP_P = 0.8, 0.95


def sample_texts(subject: Subject) -> list[dict[str, str]] | None:
    """Continue the first held-out documents; gives `TextSample`s as plain values.

    None where questions are asked, or the model generates no text.
    """
    config = subject.config
    if config.questions is not None or config.tokenizer is None or subject.objective is not CAUSAL:
        return None
    model = require_decoder(config.model, subject.model, subject.objective)
    if config.earlier:
        model = load_trained(config.earlier[0].model, activation_dtype(config.precision, subject.device)).to(
            subject.device
        )
    chat = load_chat_format(config.tokenizer)
    chat.check_vocabulary(model.shape.vocab_size)
    prompts = _beginnings(subject, min(_PROMPT_TOKENS, model.shape.context // 2)) or [tuple(chat.document(""))]
    options = SamplingOptions(
        temperature=_TEMPERATURE, top_p=_TOP_P, max_new_tokens=config.max_new_tokens, stop_ids=chat.stop_tokens
    )
    made = engine_of(model).generate([GenerationRequest(prompt, options) for prompt in prompts])
    return [
        asdict(TextSample(chat.decode(prompt), chat.decode(generation.token_ids)))
        for prompt, generation in zip(prompts, made, strict=True)
    ]


def _beginnings(subject: Subject, tokens: int) -> list[tuple[int, ...]]:
    """Return the first tokens of the first held-out documents, the boundary before them included."""
    config = subject.config
    cache = named_token_cache(config.tokens, config.cache)
    if cache is None:
        return []
    documents = [cache.document(int(number)) for number in held_out_documents(cache, _SAMPLES)]
    return [tuple(map(int, document[: min(tokens, len(document) - 1)])) for document in documents if len(document) > 1]
