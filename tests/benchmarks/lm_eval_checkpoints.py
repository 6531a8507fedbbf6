"""Small random checkpoints with the habits of public ones, for the comparison with lm-eval.

llama      byte-level BPE; the tokenizer puts BOS before a text, and the chat template writes it too (Llama 3)
qwen2      byte-level BPE without BOS, ChatML, two ends of text (Qwen2)
mistral    BPE of words that begin with U+2581, with bytes as a fallback; a sliding window; [INST] (Mistral, Llama 2)
no-bos     as llama, but the template leaves BOS out: who tokenises its text like any other adds it
closing    as llama, and the tokenizer puts [SEP] after a text
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import qwen2_85m

NAMES = ("llama", "qwen2", "mistral", "no-bos", "closing")
VOCABULARY = 1500
SPECIAL = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "[SEP]"]
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n\\n' + m['content'] | trim + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n\\n' }}{% endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)


def make_all(folder: Path, texts: Iterable[str]) -> None:
    """Make every checkpoint, each in the folder of its name.

    Args:
        folder: where to.
        texts: what the tokenizers are trained on.
    """
    texts = list(texts)
    bytes_with_bos = tokenizer(texts, opening="<s> ")
    kinds = {
        "llama": ("llama", bytes_with_bos, LLAMA, {}),
        "qwen2": ("qwen2", tokenizer(texts), CHATML, {"eos_token_id": [1, 4], "bos_token_id": None}),
        "mistral": ("mistral", tokenizer(texts, opening="<s> ", words=True), INST, {"sliding_window": 96}),
        "no-bos": ("llama", tokenizer(texts, opening="<s> "), LLAMA.removeprefix("{{ bos_token }}"), {}),
        "closing": ("llama", tokenizer(texts, opening="<s> ", closing=" [SEP]"), LLAMA, {}),
    }
    for seed, name in enumerate(NAMES):
        make(folder / name, *kinds[name], seed=seed)


def make(folder: Path, kind: str, words: Any, template: str, changes: Mapping[str, Any], *, seed: int) -> Path:
    """Save one checkpoint, with weights so large that texts vary."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192, "bos_token_id": 0,
        "eos_token_id": 1, "pad_token_id": 2, "tie_word_embeddings": False,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**shape, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    words.chat_template = template
    words.save_pretrained(folder)
    return folder


def tokenizer(texts: Iterable[str], *, opening: str = "", closing: str = "", words: bool = False) -> Any:
    """Train a tokenizer.

    Args:
        texts: what it is trained on.
        opening: special tokens that it puts before a text, each followed by a space.
        closing: special tokens that it puts after a text, each after a space.
        words: pieces are words that begin with U+2581, as SentencePiece makes them, instead of bytes.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if words:
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        bpe = Tokenizer(models.BPE(unk_token=None, byte_fallback=True, fuse_unk=True))
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
        bpe.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        bpe.normalizer = normalizers.NFC()
        trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL + fallback, show_progress=False)
    else:
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(qwen2_85m.PRETOKENS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])  # fmt: skip
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )  # fmt: skip
    bpe.train_from_iterator(texts, trainer)
    if opening or closing:
        around = [(token, bpe.token_to_id(token)) for token in (opening + closing).split()]
        bpe.post_processor = processors.TemplateProcessing(single=f"{opening}$A{closing}", special_tokens=around)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="</s>", pad_token="<pad>", **({"bos_token": "<s>"} if opening else {})
    )
