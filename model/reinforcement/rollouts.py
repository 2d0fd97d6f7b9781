"""Batches of the model's own replies to prompts, drawn by our engine as the last step left the model, and rewarded.

Notable:
- What is drawn depends on the seed, the step and the reply's place in it, and on the weights. So a resumed run draws
  what an uninterrupted one would, and nothing of a rollout is kept in a checkpoint.
- Each process draws its share of a step's replies and scores them; the rewards are then exchanged, so that groups may
  lie across processes.
- Replayed text is drawn for each row, and stands behind its reply: no further row, and the replies are those without.
- A reply whose reward fails is not learnt from, and counted. If no reply of several steps has one, the run ends.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import xxhash
from torch import Tensor

from model.base.errors import BadInput
from model.data.chat_format import ChatFormat
from model.data.packed_sequences import IGNORED, Batch, ShuffledOrder, reply_rows, share
from model.inference.engine import EngineLimits, engine_of
from model.inference.requests import Generation, GenerationRequest, SamplingOptions
from model.network.transformer import Transformer
from model.reinforcement.advantages import FloatArray, group_advantages
from model.reinforcement.config import RlSection
from model.reinforcement.prompts import Prompt, Prompts
from model.reinforcement.replay import ReplayedText, with_text_behind
from model.reinforcement.reward_process import RewardProcess
from model.reinforcement.rewards import Reply

_SLOTS = 64
"""Replies that a process draws at the same time."""
_MOST_LOST = 8
"""Times `reward_seconds` that a process spends in a step on replies that get no reward; then it scores no more."""
_MOST_IN_VAIN = 3
"""Steps in a row without any reward after which the run ends."""
_SAMPLES = 3
"""Replies to held-out prompts that are logged."""
_HELD_OUT = "held out"
_TOKENS, _CUT, _IS_SCORED, _PARTS = range(4)
"""Columns of the scores of replies: length in tokens, whether the limit cut it, whether it has rewards; from there on,
the rewards."""


@dataclass(frozen=True)
class _Drawn:
    """A process's share of some replies."""

    rows: slice
    """Which of all they are."""
    prompts: list[Prompt]
    token_ids: list[list[int]]
    """With the token that ends them."""
    replies: list[Reply]
    scores: FloatArray
    """(all replies, 3 + rewards), those of every process."""


class Rollouts:
    """The batches of reinforcement learning."""

    def __init__(
        self,
        config: RlSection,
        prompts: Prompts,
        chat: ChatFormat,
        policy: Transformer,
        rewards: RewardProcess,
        reference: Transformer | None,
        text: ReplayedText | None = None,
    ) -> None:
        """Draw from `policy`, whose weights the training changes in place.

        `reference`: the model whose log-probabilities go with a batch; None leaves them out. `text`: what is replayed.
        """
        self._config, self._prompts, self._chat, self._policy = config, prompts, chat, policy
        self._rewards, self._reference, self._text = rewards, reference, text
        groups = config.loop.global_batch_size // config.group_size
        self._order = ShuffledOrder(len(prompts.trained), groups, config.loop.seed)
        self._first_fault, self._steps_in_vain = "", 0

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Draw and score the replies of step number `step`, from 0; every process calls this.

        Raises BadInput if no reply has had a reward for some steps.
        """
        prompts = [self._prompts.trained[number] for number in self._order.of_step(step)]
        asked = [prompt for prompt in prompts for _ in range(self._config.group_size)]
        drawn = self._drawn(asked, str(step), rank, world_size)
        rewards = self._totals(drawn.scores).reshape(len(prompts), self._config.group_size)
        self._steps_in_vain = self._steps_in_vain + 1 if np.isnan(rewards).all() else 0
        if self._steps_in_vain == _MOST_IN_VAIN:
            why = self._first_fault or "see what the other processes say"
            raise BadInput(f"no reply of the last {_MOST_IN_VAIN} steps, up to step {step + 1}, has a reward: {why}")
        advantages = group_advantages(rewards, self._config.scale_by_deviation)
        inputs, targets = self._rows(drawn)
        columns = [np.zeros(len(inputs), dtype=np.float32)]
        columns[0][: len(drawn.replies)] = advantages.reshape(-1)[drawn.rows]
        if self._reference is not None:
            columns.append(self._nats_of_reference(self._reference, inputs, targets))
        facts = self._facts(drawn.scores) | {"no_signal": float((advantages == 0).all(1).mean())}
        if self._first_fault:
            facts |= {"fault": self._first_fault}
        reply_tokens, has_reward = drawn.scores[:, _TOKENS], drawn.scores[:, _IS_SCORED] > 0
        tokens = sum(len(prompt.ids) for prompt in asked) + int(reply_tokens.sum())
        targets_in_step = int(reply_tokens[has_reward].sum())
        batch = Batch(inputs, targets, None, targets_in_step, tokens, columns=tuple(columns), facts=facts)
        return self._with_text(self._text, batch, step, drawn, asked) if self._text else batch

    def _with_text(self, text: ReplayedText, batch: Batch, step: int, drawn: _Drawn, asked: Sequence[Prompt]) -> Batch:
        counts, context = drawn.scores[:, _TOKENS], self._policy.shape.context
        # Where no reply has a reward, the step has nothing to divide the text's nats by.
        replayed = round(self._config.replay * float(counts.mean())) if batch.targets_in_step else 0
        lengths = [len(prompt.ids) + int(count) - 1 for prompt, count in zip(asked, counts, strict=True)]
        pieces = [text.piece(step, row, min(replayed, context - length)) for row, length in enumerate(lengths)]
        tokens = batch.tokens_in_step + sum(len(piece) - 1 for piece in pieces)
        joined = with_text_behind(batch, lengths[drawn.rows], pieces[drawn.rows], context)
        return dataclasses.replace(joined, tokens_in_step=tokens)

    def evaluate(self, rank: int, world_size: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield events for the log: the mean reward of one reply to each held-out prompt, and some of the replies."""
        if not self._prompts.held_out:
            return
        drawn = self._drawn(self._prompts.held_out, _HELD_OUT, rank, world_size)
        yield "eval", self._facts(drawn.scores)
        totals = self._totals(drawn.scores)[drawn.rows]
        for prompt, reply, reward in list(zip(drawn.prompts, drawn.replies, totals, strict=True))[:_SAMPLES]:
            shown = None if np.isnan(reward) else float(reward)
            yield "sample", {"prompt": self._chat.decode(prompt.ids), "reply": reply.text, "reward": shown}

    def _drawn(self, asked: Sequence[Prompt], when: str, rank: int, world_size: int) -> _Drawn:
        """Draw a reply to each of `asked`, this process its share, and score it."""
        rows = share(len(asked), rank, world_size)
        prompts = list(asked[rows])
        seeds = [_seed(self._config.loop.seed, when, number) for number in range(len(asked))[rows]]
        made = self._generated(prompts, seeds)
        token_ids = [[event.token_id for event in one.events if event.token_id is not None] for one in made]
        limit = self._config.max_new_tokens
        replies = [
            Reply(self._chat.decode(one.token_ids), len(ids), one.finish_reason == "stop", limit)
            for one, ids in zip(made, token_ids, strict=True)
        ]
        scores = np.zeros((len(asked), _PARTS + len(self._config.rewards)))
        scores[rows] = list(self._scores(replies, prompts)) or scores[rows]
        return _Drawn(rows, prompts, token_ids, replies, _summed(scores, self._device))

    def _generated(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Generation]:
        if not prompts:
            return []
        limit = self._config.max_new_tokens
        context = max(len(prompt.ids) for prompt in prompts) + limit
        engine = engine_of(self._policy, limits=EngineLimits(slots=min(_SLOTS, len(prompts)), context=context))
        stop = self._chat.stop_tokens
        return engine.generate(
            [
                GenerationRequest(
                    prompt.ids, SamplingOptions(temperature=1.0, max_new_tokens=limit, seed=seed, stop_ids=stop)
                )
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
        )

    def _scores(self, replies: Sequence[Reply], prompts: Sequence[Prompt]) -> Iterator[list[float]]:
        """Yield a row of `_Drawn.scores` for each reply."""
        names = list(self._config.rewards)
        self._first_fault, lost = "", 0.0
        for reply, prompt in zip(replies, prompts, strict=True):
            began = time.monotonic()
            is_tried = lost < _MOST_LOST * self._config.reward_seconds
            found = self._rewards.score(reply, prompt.line) if is_tried else "not tried"
            if isinstance(found, str):
                lost += time.monotonic() - began
                self._first_fault = self._first_fault or found
                yield [reply.tokens, not reply.finished, 0.0, *(0.0 for _ in names)]
            else:
                yield [reply.tokens, not reply.finished, 1.0, *(found[name] for name in names)]

    def _totals(self, scores: FloatArray) -> FloatArray:
        """Return the weighted reward of each reply, NaN where it has none."""
        weighted = scores[:, _PARTS:] @ np.array(list(self._config.rewards.values()))
        return np.where(scores[:, _IS_SCORED] > 0, weighted, np.nan)

    def _facts(self, scores: FloatArray) -> dict[str, Any]:
        """Return means over the replies: the reward and its parts, the length in tokens, shares of cut and failed."""
        scored = scores[scores[:, _IS_SCORED] > 0]
        tokens, cut, has_rewards = scores[:, [_TOKENS, _CUT, _IS_SCORED]].mean(axis=0).tolist()
        facts = {"reply_tokens": tokens, "cut": cut, "failed": 1.0 - has_rewards}
        if not len(scored):
            return facts
        means = scored[:, _PARTS:].mean(axis=0).tolist()
        parts = {f"reward_{name}": mean for name, mean in zip(self._config.rewards, means, strict=True)}
        return {"reward": float(self._totals(scored).mean()), **parts, **facts}

    def _rows(self, drawn: _Drawn) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets (R, T); a process without any reply has one row with nothing to predict."""
        texts = [(prompt.ids, ids) for prompt, ids in zip(drawn.prompts, drawn.token_ids, strict=True)]
        inputs, targets = reply_rows(texts, self._policy.shape.context, self._chat.end_of_text)
        has_rewards = drawn.scores[drawn.rows, _IS_SCORED] > 0
        targets[: len(texts)][~has_rewards] = IGNORED
        return inputs, targets

    @torch.no_grad()
    def _nats_of_reference(self, reference: Transformer, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        rows = self._config.loop.micro_batch or len(inputs)
        tensors = [torch.from_numpy(part).to(self._device).split(rows) for part in (inputs, targets)]
        found = [reference(*part, each=True) for part in zip(*tensors, strict=True)]
        nats: np.ndarray = torch.cat(found).cpu().numpy()
        return nats

    @property
    def _device(self) -> torch.device:
        return self._policy.lm_head.weight.device


def _seed(seed: int, when: str, number: int) -> int:
    """Return the seed of a reply's draws."""
    return xxhash.xxh3_64_intdigest(f"{seed} {when} {number}".encode())


def _summed(scores: FloatArray, device: torch.device) -> FloatArray:
    """Return the sum over the processes, each of which has filled in its own rows."""
    if not dist.is_initialized():
        return scores
    shared: Tensor = torch.from_numpy(scores).to(device)
    dist.all_reduce(shared)
    summed: FloatArray = shared.cpu().numpy()
    return summed
