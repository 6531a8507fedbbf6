"""Which tokens of a vocabulary mean the same, and which are of the same kind; and the numbers in a tokenized text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from evals.tasks.mini import math
from evals.tasks.mini.language import english, entailment, pairs, pronouns, sentences

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class WordSenses(NamedTuple):
    """What the tokens of a vocabulary of V tokens mean, as numbers."""

    meanings: torch.Tensor
    """(V,) int64: equal for synonyms and for all forms of a word; 0 for tokens without a meaning."""
    kinds: torch.Tensor
    """(V,) int64: equal for words that can replace each other, such as colors; 0 for other tokens."""
    digits: frozenset[int]
    """The tokens of the ten digits."""
    content: frozenset[int]
    """All tokens that have a meaning."""
    equals: int
    """The token of ` =`."""
    answers: torch.Tensor
    """(2,) int64: the tokens of *no* and *yes*."""


def _no_inflection(word: str) -> list[str]:
    return [word]


def _verb(word: str) -> list[str]:
    return [word, english.past(word), english.participle(word), english.progressive(word), english.third(word)]


def _noun(word: str) -> list[str]:
    return [word, english.plural(word)]


def _last_word(phrase: str) -> list[str]:
    return [phrase.split()[-1]]


def _meanings(words: Iterable[str], forms: Callable[[str], list[str]] = _no_inflection) -> list[list[str]]:
    """Collect for each word all forms of it and of its synonym."""
    return [
        [form for synonym in (word, english.SYNONYMS.get(word)) if synonym for form in forms(synonym)] for word in words
    ]


def _kinds() -> list[list[list[str]]]:
    """Collect the kinds of words: of each kind its meanings, and of each meaning the words that have it."""
    return [
        _meanings(english.ACTIONS, _verb),
        _meanings([*english.THINGS, *english.KINDS, *pronouns.CONTAINERS, *pronouns.SIGHTS], _noun),
        _meanings([*english.COLORS, *english.QUALITIES]),
        _meanings(english.PLACES, _last_word) + [[city] for city in pairs.CITIES],
        _meanings(english.TIMES, _last_word),
        [[name] for name in english.NAMES],
        _meanings(sentences.PEOPLE, _noun),
        [[number] for number in entailment.NUMBERS],
        [[goods] for goods in math.GOODS],
        [[holder] for holder in math.HOLDERS],
        [["exactly"], ["least"], ["most"], ["more"], ["fewer"], ["all", "every"], ["some"], ["no"]],
    ]


def word_senses(tokenizer: PreTrainedTokenizerBase) -> WordSenses:
    """Look up the vocabulary's words; a word counts with and without a space before it, in lower and upper case."""
    import torch

    size = len(tokenizer)
    meanings, kinds = torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.int64)
    ids_by_word: dict[str, list[int]] = {}
    for token, token_id in tokenizer.get_vocab().items():
        ids_by_word.setdefault(token.removeprefix("Ġ").lower(), []).append(token_id)
    meaning = 0
    for kind, meanings_of_kind in enumerate(_kinds(), start=1):
        for words in meanings_of_kind:
            meaning += 1
            for word in words:
                for token_id in ids_by_word.get(word.lower(), []):
                    if not kinds[token_id]:
                        meanings[token_id], kinds[token_id] = meaning, kind
    digits = frozenset(tokenizer.convert_tokens_to_ids(list("0123456789")))
    no, yes = (tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in ("no", "yes"))
    content = frozenset(meanings.nonzero()[:, 0].tolist())
    return WordSenses(meanings, kinds, digits, content, tokenizer.convert_tokens_to_ids("Ġ="), torch.tensor([no, yes]))


def numbers_in(ids: list[int], senses: WordSenses) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Find each number in a text: the position of its first digit, and the tokens of its digits."""
    for position, token in enumerate(ids):
        if token in senses.digits and (position == 0 or ids[position - 1] not in senses.digits):
            yield position, number_at(ids, position, senses)


def number_at(ids: list[int], position: int, senses: WordSenses) -> tuple[int, ...]:
    """Return the tokens of the digits that start at a position."""
    end = position
    while end < len(ids) and ids[end] in senses.digits:
        end += 1
    return tuple(ids[position:end])
