"""Tokens that a tokenizer puts after a text are taken off a prompt, whatever their name; those before stay once."""

from __future__ import annotations

import checkpoints
import pytest
from tokenizers.processors import TemplateProcessing

from evals import Choose, Generate
from evals.models.backend.prompts.special_tokens import SpecialTokens, find_special_tokens
from evals.models.families import causal
from evals.schema import Placement

SPECIAL = [("<s>", 0), ("</s>", 1), ("<pad>", 2)]
CHAT = "{% for m in messages %}User: {{ m['content'] }}{% endfor %} Assistant:"


def folder_with(tmp_path, around, *, kind="llama", template=None, **names):
    """A checkpoint whose tokenizer puts tokens around a text, and whose special tokens have these names."""
    from transformers import PreTrainedTokenizerFast

    checkpoints.language_model(tmp_path, kind)
    backend = checkpoints.tokenizer(tmp_path).backend_tokenizer
    backend.post_processor = TemplateProcessing(around, special_tokens=SPECIAL)
    words = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    words.chat_template = template
    words.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("names", [{}, {"sep_token": "</s>", "cls_token": "<s>"}, {"bos_token": "<s>"}])
@pytest.mark.parametrize(
    ("around", "opening", "closing"),
    [
        ("$A", (), ()),
        ("<s> $A", (0,), ()),
        ("$A </s>", (), (1,)),
        ("<s> $A </s>", (0,), (1,)),
        ("<s> <pad> $A <pad> </s>", (0, 2), (2, 1)),
    ],
)
def test_prompts_and_continuations_hold_no_closing_token(tmp_path, names, around, opening, closing):
    model = causal.load("tiny", str(folder_with(tmp_path, around, **names)), Placement("cpu"))
    assert find_special_tokens(model.tokenizer) == SpecialTokens(opening, closing)
    plain = tuple(model.tokenizer("What color?", add_special_tokens=False)["input_ids"])
    red = tuple(model.tokenizer("What color? red", add_special_tokens=False)["input_ids"])[len(plain) :]
    assert tuple(model.prepare(Generate("x", ("What color?",), 3)).tokens) == opening + plain
    choice = model.prepare(Choose("x", ("What color?",), (" red",)))
    assert (tuple(choice.tokens), choice.continuations) == (opening + plain, (red,))


def test_a_text_that_begins_with_its_opening_token_gets_no_second_one(tmp_path):
    model = causal.load("tiny", str(folder_with(tmp_path, "<s> $A </s>", bos_token="<s>")), Placement("cpu"))
    once = model.prepare(Generate("x", ("What color?",), 3)).tokens
    assert tuple(model.prepare(Generate("x", ("<s>What color?",), 3)).tokens) == tuple(once)


@pytest.mark.parametrize("around", ["$A", "<s> $A", "<s> $A </s>"])
@pytest.mark.parametrize("opened", [False, True])
def test_with_a_chat_template_the_special_tokens_are_the_templates(tmp_path, around, opened):
    from transformers import AutoTokenizer

    folder = folder_with(tmp_path, around, template=("{{ bos_token }}" if opened else "") + CHAT, bos_token="<s>")
    tokens = causal.load("tiny", str(folder), Placement("cpu")).prepare(Generate("x", ("What color?",), 3)).tokens
    message = [{"role": "user", "content": "What color?"}]
    expected = AutoTokenizer.from_pretrained(folder).apply_chat_template(message, add_generation_prompt=True)
    assert list(tokens) == list(expected["input_ids"])
    assert list(tokens).count(0) == opened


def test_an_encoder_reads_the_closing_token(tmp_path):
    model = causal.load("tiny", str(folder_with(tmp_path, "$A </s>", kind="t5")), Placement("cpu"))
    assert model.prepare(Generate("x", ("What color?",), 3)).tokens[-1] == 1
    choice = model.prepare(Choose("x", ("What color?",), (" red",)))
    assert choice.tokens[-1] == 1
    assert 1 not in choice.continuations[0]


@pytest.mark.parametrize("kind", ["deepseek_vl", "idefics-like"])
def test_a_processor_that_closes_texts_does_not_close_a_prompt(tmp_path, kind):
    """Both ways of a processor: token ids, and the encoded batch for the library's own loop."""
    from transformers import AutoProcessor

    from evals.models.backend.prompt_processor import PromptProcessor

    checkpoints.deepseek_vl(tmp_path, template=kind == "deepseek_vl")
    library = AutoProcessor.from_pretrained(tmp_path)
    library.tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<s> $A </s>", special_tokens=SPECIAL)
    processor = PromptProcessor.of(library, tmp_path)
    texts = [processor.render(("What color?",)), processor.render(("How many squares are there?",))]
    ids = [processor.tokenise(text, []) for text in texts]
    assert [(row[0], row.count(0), row.count(1)) for row in ids] == [(0, 1, 0)] * 2
    encoded = [processor.encode(text, []) for text in texts]
    assert [prompt["input_ids"][0].tolist() for prompt in encoded] == ids
