"""Where the `r1` replica is shown to look while it learns: from words to what they repeat, from sums to their numbers.

Two sentences can only be compared word by word, and a decoder that is taught by labels alone does not find that out in
half an hour: after 600 steps of the same lessons without this, a word that stood in the first sentence was no more
expected in the second than any other. So for a while one head of a few layers is led:

- `comparisons`: from a word to the earlier words that mean the same (*couch*, *sofa*), or, where there are none, to
  those of the same sort (another color, another day); a later layer is then asked which of the two it was.
- `copies`: from where a worked solution is about to write a number, a name or a thing to where that stands already.
- `operands`: from where it is about to write the result of a sum to the digits of the sum's two numbers.

Shapes: B lessons, S tokens, V vocabulary, N places that are led.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from evals.tasks.mini import math
from evals.tasks.mini.language import english, entailment, pairs, pronouns, sentences

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

    from evals.models.replicas.recipes.r1.config import Page

COMPARING_LAYERS, COPYING_LAYERS, RECKONING_LAYERS = (1, 2), (5, 6), (7, 8)
"""Decoder layers, from 0, of which the first head is led; of the last, the first two heads are."""
SAID_AFTER = 4
"""After this layer a word's state says whether it repeats a meaning."""
CONTRAST = 8.0
"""How sharply the cosines with the two answers are told apart."""


class Sense(NamedTuple):
    """What the words of the vocabulary mean, as numbers; 0 is no word of the kind."""

    meaning: torch.Tensor
    """(V,) int64: equal for synonyms and for all forms of a word."""
    sort: torch.Tensor
    """(V,) int64: equal for words that can stand in each other's place."""
    digits: frozenset[int]
    """The tokens of the ten digits."""
    content: frozenset[int]
    """All that has a meaning."""
    equals: int
    """The token of ` =`."""
    answers: torch.Tensor
    """(2,) int64: the tokens of *no* and *yes*."""


def _itself(word: str) -> list[str]:
    return [word]


def _verb(word: str) -> list[str]:
    return [word, english.past(word), english.participle(word), english.progressive(word), english.third(word)]


def _noun(word: str) -> list[str]:
    return [word, english.plural(word)]


def _last(phrase: str) -> list[str]:
    return [phrase.split()[-1]]


def _groups() -> Iterable[tuple[str, list[list[str]]]]:
    """Give each sort of word with its meanings, each as all the words that have it."""

    def meanings(words: Iterable[str], forms: Callable[[str], list[str]] = _itself) -> list[list[str]]:
        return [
            [form for alike in (word, english.SYNONYMS.get(word)) if alike for form in forms(alike)] for word in words
        ]

    yield "action", meanings(english.ACTIONS, _verb)
    yield "thing", meanings([*english.THINGS, *english.KINDS, *pronouns.CONTAINERS, *pronouns.SIGHTS], _noun)
    yield "quality", meanings([*english.COLORS, *english.QUALITIES])
    yield "place", meanings(english.PLACES, _last) + [[city] for city in pairs.CITIES]
    yield "time", meanings(english.TIMES, _last)
    yield "name", [[name] for name in english.NAMES]
    yield "person", meanings(sentences.PEOPLE, _noun)
    yield "number", [[number] for number in entailment.NUMBERS]
    yield "goods", [[goods] for goods in math.GOODS]
    yield "holder", [[holder] for holder in math.HOLDERS]
    yield "bound", [["exactly"], ["least"], ["most"], ["more"], ["fewer"], ["all", "every"], ["some"], ["no"]]


def sense(tokenizer: PreTrainedTokenizerBase) -> Sense:
    """Read the vocabulary: a word counts with and without the space before it, capital or not."""
    import torch

    size = len(tokenizer)
    meaning, sort = torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.int64)
    ids: dict[str, list[int]] = {}
    for token, number in tokenizer.get_vocab().items():
        ids.setdefault(token.removeprefix("Ġ").lower(), []).append(number)
    count = 0
    for place, (_, found) in enumerate(_groups(), start=1):
        for words in found:
            count += 1
            for word in words:
                for number in ids.get(word.lower(), []):
                    if not sort[number]:
                        meaning[number], sort[number] = count, place
    digits = frozenset(tokenizer.convert_tokens_to_ids(list("0123456789")))
    no, yes = (tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in ("no", "yes"))
    content = frozenset(meaning.nonzero()[:, 0].tolist())
    return Sense(meaning, sort, digits, content, tokenizer.convert_tokens_to_ids("Ġ="), torch.tensor([no, yes]))


def comparisons(tokens: torch.Tensor, words: Sense) -> tuple[torch.Tensor, torch.Tensor]:
    """Say which earlier words each word is to be compared with.

    Returns:
        (B, S, S) bool, true where the word of the second axis is to look at that of the third, and (B, S) bool, true
        where a word repeats a meaning.
    """
    import torch

    meaning, sort = words.meaning[tokens], words.sort[tokens]
    earlier = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril(-1)
    same = (meaning[:, :, None] == meaning[:, None]) & (meaning[:, :, None] > 0) & earlier
    alike = (sort[:, :, None] == sort[:, None]) & (sort[:, :, None] > 0) & earlier
    repeats = same.any(-1)
    return torch.where(repeats[..., None], same, alike), repeats


def copies(page: Page, words: Sense) -> torch.Tensor:
    """Say where a solution finds the number, the name or the thing that it is about to write: (B, S, S) bool."""
    import torch

    looks = torch.zeros(*page.tokens.shape, page.tokens.shape[1], dtype=torch.bool)
    for row in (page.solutions >= 0).any(1).nonzero()[:, 0].tolist():
        ids, targets = page.tokens[row].tolist(), page.solutions[row].tolist()
        found = list(numbers_in(ids, words))
        for place, (token, target) in enumerate(zip(ids, targets, strict=True)):
            if target in words.digits and token not in words.digits:
                written = number_at(targets, place, words)
                for start, number in found:
                    looks[row, place, start] = start < place and number == written
            elif target in words.content:
                looks[row, place, :place] = page.tokens[row, :place] == target
    return looks


def operands(page: Page, words: Sense) -> tuple[torch.Tensor, torch.Tensor]:
    """Say where the digits of a sum's first and second number are, from where its result is written: (B, S, S) bool."""
    import torch

    looks = [torch.zeros(*page.tokens.shape, page.tokens.shape[1], dtype=torch.bool) for _ in range(2)]
    for row in (page.results >= 0).any(1).nonzero()[:, 0].tolist():
        ids = page.tokens[row].tolist()
        found = list(numbers_in(ids, words))
        for place in (page.results[row] >= 0).nonzero()[:, 0].tolist():
            ends = max(at for at in range(place + 1) if ids[at] == words.equals)
            summed = [(start, number) for start, number in found if start < ends][-2:]
            for look, (start, number) in zip(looks, summed, strict=True):
                look[row, place, start : start + len(number)] = True
    return looks[0], looks[1]


def numbers_in(ids: list[int], words: Sense) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Give each number of a text with the place of its first digit."""
    for place, token in enumerate(ids):
        if token in words.digits and (place == 0 or ids[place - 1] not in words.digits):
            yield place, number_at(ids, place, words)


def number_at(ids: list[int], place: int, words: Sense) -> tuple[int, ...]:
    """Give the digits that stand from a place on."""
    end = place
    while end < len(ids) and ids[end] in words.digits:
        end += 1
    return tuple(ids[place:end])


def lead(
    model: LlamaForCausalLM, page: Page, states: tuple[torch.Tensor, ...], words: Sense
) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure how far the led heads are from looking where they are shown, and words from knowing their like.

    Args:
        model: What learns.
        page: What it read.
        states: (B, S, width) going into each layer, and out of the last.
        words: `sense` of the tokenizer.

    Returns:
        The two losses, sums over the places that they are about divided by their number; 0 where there are none.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    compared, repeats = comparisons(page.tokens, words)
    copied, reckoned = copies(page, words), operands(page, words)
    looks = [_look(model, states[layer], (layer, 0), compared) for layer in COMPARING_LAYERS]
    looks += [_look(model, states[layer], (layer, 0), copied) for layer in COPYING_LAYERS]
    looks += [
        _look(model, states[layer], (layer, head), reckoned[head]) for layer in RECKONING_LAYERS for head in (0, 1)
    ]
    asked = compared.any(-1)
    answers = normalize(model.get_input_embeddings().weight[words.answers], dim=-1)
    no, yes = (normalize(states[SAID_AFTER + 1][asked], dim=-1) @ answers.T).T
    known = binary_cross_entropy_with_logits(CONTRAST * (yes - no), repeats[asked].float()) if asked.any() else no.sum()
    return sum(looks[1:], looks[0]) / len(looks), known


def _look(model: LlamaForCausalLM, state: torch.Tensor, where: tuple[int, int], targets: torch.Tensor) -> torch.Tensor:
    """Give the mean negative log of the attention that a head of a layer pays to the targets of the led places."""
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    led = targets.any(-1)
    if not led.any():
        return state.sum() * 0
    layer, head = model.model.layers[where[0]], where[1]
    attention, normed = layer.self_attn, layer.input_layernorm(state)
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    turn = model.model.rotary_emb(state, torch.arange(state.shape[1])[None])
    query, key = ((normed @ each.weight[rows].T)[:, None] for each in (attention.q_proj, attention.k_proj))
    query, key = apply_rotary_pos_emb(query, key, *turn)
    match = (query @ key.mT)[:, 0][led] * attention.scaling
    later = torch.ones(match.shape[1], match.shape[1], dtype=torch.bool).triu(1)
    match = match.masked_fill(later.expand(len(led), -1, -1)[led], -torch.inf)
    return -(match.masked_fill(~targets[led], -torch.inf).logsumexp(-1) - match.logsumexp(-1)).mean()
