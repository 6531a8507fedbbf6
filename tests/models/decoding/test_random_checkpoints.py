"""Random small checkpoints with the habits of public ones: greedy outputs and ends are those of a plain loop.

Each draw has a random architecture, tokenizer, chat template and generation config. The reference is a loop of forward
passes over one sequence, without a cache, a batch or the library's `generate`.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from evals import Generate
from evals.execution.batching import plan
from evals.models.families import causal
from evals.schema import Placement

PARTS = 10
WORDS = [f"w{number}" for number in range(24)]
MARKS = ["<s>", "</s>", "<pad>", "<|im_end|>", "<|endoftext|>", "<|user|>", "<|bot|>"]
KINDS = ("llama", "olmo", "starcoder2", "gpt2", "opt", "gpt_neox", "gemma2", "phi", "t5")
LEAKS = [
    {"bad_words_ids": [[5], [9]]}, {"suppress_tokens": [6, 7]}, {"begin_suppress_tokens": [8, 9, 10]},
    {"sequence_bias": [[[5], 9.0]]}, {"encoder_repetition_penalty": 3.0}, {"encoder_no_repeat_ngram_size": 1},
    {"exponential_decay_length_penalty": [1, 2.0]}, {"forced_eos_token_id": 1, "max_length": 12}, {"max_time": 0.0},
    {"guidance_scale": 3.0}, {"min_length": 30}, {"min_new_tokens": 9}, {"stop_strings": ["w"]}, {"num_beams": 3},
    {"return_dict_in_generate": True, "output_scores": True}, {"prompt_lookup_num_tokens": 2},
    {"num_return_sequences": 2, "num_beams": 2}, {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1},
    {"do_sample": True, "temperature": 3.0, "top_k": 3, "top_p": 0.5}, {"length_penalty": 2.0, "early_stopping": True},
]  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}{{ '<|bot|>' if m['role'] == 'assistant' else '<|user|>' }} {{ m['content'] }} "
    "{{ END }} {% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)


def make(folder: Path, draw: random.Random) -> dict[str, object]:
    """Save a random checkpoint; returns its ends, its kind and whether it has a template."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

    kind, size = draw.choice(KINDS), len(MARKS) + len(WORDS)
    vocabulary = MARKS + WORDS
    draw.shuffle(vocabulary)
    ids = {token: number for number, token in enumerate(vocabulary)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    end = draw.choice(["</s>", "<|im_end|>", "<|endoftext|>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token=end, pad_token=draw.choice(["<pad>", None]),
        extra_special_tokens=[mark for mark in MARKS[3:] if mark != end],
    )  # fmt: skip
    turn = draw.choice([None, "</s>", "<|im_end|>"])
    has_template = kind != "t5" and turn is not None
    if has_template:
        tokenizer.chat_template = TEMPLATE.replace("{{ END }}", str(turn))
    config_end, generation_end = (draw.choice(MARKS[1:5]) for _ in range(2))
    shape = {
        "vocab_size": size, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 96, "n_positions": 96,
        "n_embd": 16, "n_layer": 2, "n_head": 2, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
        "ffn_dim": 24, "word_embed_proj_dim": 16, "sliding_window": 8, "layer_types": None, "bos_token_id": ids["<s>"],
        "eos_token_id": ids[config_end], "pad_token_id": ids["<pad>"], "decoder_start_token_id": ids["<pad>"],
    }  # fmt: skip
    if kind not in {"starcoder2", "gemma2"}:
        del shape["sliding_window"], shape["layer_types"]
    if kind == "phi":
        del shape["head_dim"]
        shape["num_key_value_heads"] = 2
    torch.manual_seed(draw.randrange(1 << 30))
    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    model = auto.from_config(AutoConfig.for_model(kind, **shape))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.6 if parameter.dim() > 1 else 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings: dict[str, object] = {"eos_token_id": draw.choice([ids[generation_end], [ids[generation_end], 10_000]])}
    for leak in draw.sample(LEAKS, 2):
        settings |= leak
    if draw.random() < 0.8:
        (folder / "generation_config.json").write_text(json.dumps(settings))
        ends = {end, config_end, generation_end}
    else:
        (folder / "generation_config.json").unlink(missing_ok=True)
        ends = {end, config_end}
    return {"kind": kind, "ends": {ids[token] for token in ends | ({turn} if has_template else set())}}


class PlainLoop:
    """The reference model of a folder: greedy generation with one forward pass per token over the whole sequence."""

    def __init__(self, folder: Path, seq2seq: bool) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
        self.model = auto.from_pretrained(folder).eval()
        self.seq2seq = seq2seq

    def logits(self, prompt: list[int], new: list[int]):
        import torch

        if not self.seq2seq:
            return self.model(input_ids=torch.tensor([prompt + new])).logits
        start = [self.model.config.decoder_start_token_id, *new]
        return self.model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([start])).logits

    def generate(self, prompt: list[int], ends: set[int], limit: int) -> tuple[list[int], bool]:
        """Return the new tokens, and whether the limit cut them off."""
        import torch

        new: list[int] = []
        with torch.no_grad():
            while len(new) < limit:
                token = int(self.logits(prompt, new)[0, -1].argmax())
                if token in ends:
                    return new, False
                new.append(token)
        return new, True


@pytest.mark.slow
@pytest.mark.draws(100, 400)
@pytest.mark.parametrize("part", range(PARTS))
def test_outputs_and_ends_are_those_of_a_plain_loop(part, draws, tmp_path):
    from transformers import AutoTokenizer

    for number in range(part, draws, PARTS):
        draw, folder = random.Random(number), tmp_path / str(number)
        made = make(folder, draw)
        tokenizer, limit = AutoTokenizer.from_pretrained(folder), draw.randrange(3, 20)
        model = causal.load("tiny", str(folder), Placement(device="cpu"))
        requests = [
            Generate(str(n), (" ".join(draw.choices(WORDS, k=draw.randrange(1, 12))),), limit) for n in range(3)
        ]
        prompts = [model.prepare(request) for request in requests]
        outputs = {
            prediction.id: prediction
            for batch in plan(prompts, 100_000)
            for prediction in model.run(prompts, batch, model.stage(prompts, batch))
        }
        reference = PlainLoop(folder, seq2seq=made["kind"] == "t5")
        for prompt in prompts:
            tokens, cut = reference.generate(list(prompt.tokens), made["ends"], limit)
            prediction = outputs[prompt.request.id]
            expected = tokenizer.decode(tokens, skip_special_tokens=True)
            assert (prediction.output, prediction.truncated) == (expected, cut), (number, made["kind"])
