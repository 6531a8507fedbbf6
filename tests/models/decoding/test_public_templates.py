"""What public chat templates and tokenizers do at the ends of answers and around thoughts."""

from __future__ import annotations

from types import SimpleNamespace

import checkpoints
import pytest

from evals.models.decoding.checkpoint_settings import end_ids
from evals.models.decoding.reading import TextReader, ThoughtTracker
from evals.models.decoding.thoughts import CHANNELS, TAG_PAIRS, THINK, TagPair, split_text
from evals.models.families import causal
from evals.schema import Placement

# Ends of answers


def rendered(messages, begins_answer, *, turn, end, answer=""):
    """Render messages as a template with these marks does."""
    text = "".join(f"{turn[message['role']]}{message['content']}{end}" for message in messages)
    return text + (turn["assistant"] + answer if begins_answer else "")


@pytest.mark.parametrize(
    ("user", "end", "token"),
    [("<user>", "<end>", "<end>"), ("<user>", "\n<end>\n", "<end>"), ("<user>", "", "<user>"), ("Q: ", "\n", None)],
    ids=["an end", "an end on its own line", "the next turn (GLM)", "none"],
)
def test_an_answer_ends_at_what_follows_it_in_a_chat(tmp_path, user, end, token):
    tokenizer = checkpoints.tokenizer(tmp_path)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<user>", "<assistant>", "<end>"]})
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=1000)))
    turn = {"user": user, "assistant": "<assistant>" if token else "A: "}
    found = end_ids(tmp_path, model, tokenizer, lambda *chat: rendered(*chat, turn=turn, end=end))
    expected = {tokenizer.eos_token_id} | ({tokenizer.convert_tokens_to_ids(token)} if token else set())
    assert set(found) == expected


@pytest.mark.slow
def test_another_template_says_what_ends_an_answer(tmp_path):
    folder = checkpoints.language_model(tmp_path, "llama")
    tokenizer = checkpoints.tokenizer(folder)
    template = "{% for m in messages %}{{ m['content'] }}<pad>{% endfor %}"
    pad = tokenizer.convert_tokens_to_ids("<pad>")
    ends = [
        causal.load("tiny", str(folder), Placement("cpu", template=text)).facts["end_ids"] for text in (None, template)
    ]
    assert set(ends[1]) - set(ends[0]) == {pad}


# Thoughts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("analysis<|message|>9?<|end|><|start|>assistant<|channel|>final<|message|>9", ("9", "9?", False)),
        (
            "analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>9",
            ("9", "a\n\nb", False),
        ),
        ("final<|message|>9", ("9", "", False)),
        ("final <|constrain|>json<|message|>9", ("9", "", False)),
        ("analysis<|message|>9?", ("", "9?", True)),
        ("analysis<|message|>9?<|end|><|start|>assistant<|channel|>final", ("", "9?", True)),
        ("commentary<|message|>9?", ("", "9?", True)),
    ],
)
def test_only_the_final_channel_is_an_answer(text, parts):
    assert split_text("<|channel|>" + text) == parts


def test_a_text_that_is_cut_in_the_name_of_its_channel_has_no_answer():
    assert [split_text("<|channel|>" + name)[::2] for name in ("", "analy", "fin")] == [("", True)] * 3


class ByteTokenizer:
    """One token per byte; a text that ends inside a character ends in a replacement character for each byte of it."""

    all_special_ids = ()

    def decode(self, tokens, **_):
        data = bytes(tokens)
        whole = next(n for n in range(len(data), -1, -1) if data[:n].decode(errors="ignore").encode() == data[:n])
        return data[:whole].decode() + "\N{REPLACEMENT CHARACTER}" * (len(data) - whole)


@pytest.mark.parametrize("pair", TAG_PAIRS, ids=lambda pair: pair.opening)
@pytest.mark.parametrize(("thought", "answer"), [("16 - 7", "9"), ("想一想😀", "答案是 9 😀"), ("é", "é")])
def test_characters_and_tags_of_several_tokens_are_divided_whole(pair, thought, answer):
    reader = TextReader(ByteTokenizer(), (pair,))
    reading = reader.read(f"{pair.opening}{thought}{pair.closing}{answer}".encode())
    assert (reading.answer, reading.thought) == (answer, thought)
    opened = reader.read(f"{thought}{pair.closing}{answer}".encode(), opened=pair)
    assert (opened.answer, opened.thought) == (answer, thought)


@pytest.mark.parametrize("pair", [THINK, CHANNELS, TagPair("<muse>", "</muse>")])
def test_stop_strings_begin_with_the_answer(pair):
    reader = TextReader(ByteTokenizer(), (pair,))
    text = f"{pair.opening}a thought{pair.closing}9 and more".encode()
    tracker = ThoughtTracker(reader, None)
    starts = [tracker.read(text[:count]) for count in range(1, len(text) + 1)]
    answer = len(f"{pair.opening}a thought{pair.closing}")
    assert starts[answer:] == [answer] * 10
    assert set(starts[len(pair.opening) : answer - 1]) == {None}
