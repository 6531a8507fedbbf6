"""Tokens are drawn for all rows together as for each alone, and in one wait for a GPU.

pytest tests/models/decoding/test_drawing.py
"""

from __future__ import annotations

import random

import torch

from evals.models.decoding.loglikelihood import token_sums
from evals.models.decoding.sampling import SamplingSettings, TokenSampler, _uniform, draw


def drawn_alone(sampler, logits_V, generated):
    """Draw one token, step by step: penalty, temperature, top-k, top-p, min-p."""
    settings, logits_V = sampler.settings, logits_V.clone()
    for token in sampler.read | set(generated):
        factor = settings.repetition_penalty
        logits_V[token] = logits_V[token] * factor if logits_V[token] < 0 else logits_V[token] / factor
    if not settings.temperature:
        return int(logits_V.argmax())
    values, tokens = (logits_V.double() / settings.temperature).softmax(-1).sort(descending=True)
    kept = values[: settings.top_k]
    kept = kept[kept.cumsum(-1) - kept < settings.top_p * float(kept.sum())]
    kept = kept[kept >= settings.min_p * float(kept[0])]
    point = _uniform(sampler.seed, sampler.id, len(generated)) * float(kept.sum())
    return int(tokens[next(n for n, total in enumerate(kept.cumsum(-1)) if total > point or n == len(kept) - 1)])


def test_rows_that_are_drawn_together_get_the_tokens_that_they_get_alone(monkeypatch):
    monkeypatch.setattr("evals.models.decoding.sampling._VALUES_AT_ONCE", 7 * 50)
    choices = random.Random(0)
    torch.manual_seed(0)
    for _ in range(20):
        logits_RV = torch.randn(16, 50).to(choices.choice([torch.float32, torch.bfloat16])) * 3
        generated = [[choices.randrange(50) for _ in range(choices.randrange(4))] for _ in range(16)]
        rows = [
            TokenSampler(
                SamplingSettings(
                    choices.choice([0.0, 0.3, 1.0, 5.0]), choices.choice([None, 1, 5, 100]),
                    choices.choice([1.0, 0.9, 0.1]), choices.choice([0.0, 0.2, 1.0]), choices.choice([1.0, 1.3]),
                ),
                seed, str(seed), frozenset({3, 40}),
            )
            for seed in range(16)
        ]  # fmt: skip
        before = logits_RV.clone()
        alone = [drawn_alone(*row) for row in zip(rows, logits_RV.float(), generated, strict=True)]
        assert draw(rows, logits_RV, generated).tolist() == alone
        assert torch.equal(before, logits_RV)


def test_a_sum_is_that_of_its_tokens_however_many_rows_are_computed_at_once():
    torch.manual_seed(1)
    logits = torch.randn(5, 4, 9)
    reads = [[[(0, 3)], [(1, 2), (3, 8)]] for _ in range(5)]
    plain = logits.log_softmax(-1)
    expected = [[float(plain[r, 0, 3]), float(plain[r, 1, 2] + plain[r, 3, 8])] for r in range(5)]
    assert torch.allclose(torch.tensor(token_sums(logits, reads)), torch.tensor(expected))
