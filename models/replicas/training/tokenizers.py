"""The special tokens, the byte-level tokenizer and the chat template that several replicas share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END, PAD = "<|end_of_sentence|>", "<|pad|>"
"""End of a text, and padding."""

IMAGE = "<image_placeholder>"
"""Placeholder token of one patch of an image."""

USER, ASSISTANT = "<|User|>", "<|Assistant|>"
"""Tokens of the role that speaks next: one token each, so that a question is no longer than its words."""


def train_bpe(texts: Iterable[str], vocabulary: int, special_tokens: Sequence[str], *, split_digits: bool) -> Tokenizer:
    r"""Train a byte-level BPE, which can encode any text.

    A line break is always a separate token, so the tokens of an instruction do not depend on what follows it.

    Args:
        texts: What it is trained on.
        vocabulary: Largest number of tokens.
        special_tokens: Get the first ids, in this order.
        split_digits: Make every digit a separate token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    digits = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n"), "isolated"),
            *digits,
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return bpe


def chat_template(part: str) -> str:
    """Write the chat template: a role token, the message, and the end token after the assistant's message.

    Args:
        part: Jinja expression that renders one `part` of a message's content.
    """
    return (
        "{% for message in messages %}"
        "{{ {'user': '" + USER + "', 'assistant': '" + ASSISTANT + " '}[message['role']] }}"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{{ " + part + " }}{% endfor %}{% endif %}"
        "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
        "{{ '" + ASSISTANT + "' if add_generation_prompt else '' }}"
    )
