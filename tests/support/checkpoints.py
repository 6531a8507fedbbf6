"""Small random checkpoints in the library's own layout: real classes, made-up weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}User: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
TEXT = ["What color is the large circle? red", "How many squares are there? 3", "User: Assistant: yes no left right"]


def tokenizer(folder: Path) -> Any:
    """A byte-level BPE tokenizer of 400 entries, trained on a few lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", "<image>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        TEXT * 20, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def text_config(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "llama", "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 400, "max_position_embeddings": 512,
        "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, **changes,
    }  # fmt: skip


def vision_config() -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 32, "patch_size": 8, "vision_use_head": False,
    }  # fmt: skip


def deepseek_vl(folder: Path, *, seed: int = 0, template: bool = True) -> Path:
    """DeepSeek-VL with 16 image tokens."""
    import torch
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration, DeepseekVLProcessor
    from transformers.models.deepseek_vl import DeepseekVLImageProcessorPil

    torch.manual_seed(seed)
    words = tokenizer(folder)
    config = DeepseekVLConfig(
        text_config=text_config(), vision_config=vision_config(), image_token_id=words.image_token_id
    )
    model = _spread(DeepseekVLForConditionalGeneration(config))
    model.save_pretrained(folder)
    pictures = DeepseekVLImageProcessorPil(size={"height": 32, "width": 32})
    processor = DeepseekVLProcessor(pictures, words, chat_template=TEMPLATE if template else None, num_image_tokens=16)
    processor.save_pretrained(folder)
    return folder


def deepseek_vl_hybrid(folder: Path, *, seed: int = 0) -> Path:
    """DeepSeek-VL-hybrid, the class of VL-7B: a second, high-resolution vision encoder."""
    import torch
    from transformers import (
        DeepseekVLHybridConfig,
        DeepseekVLHybridForConditionalGeneration,
        DeepseekVLHybridProcessor,
    )
    from transformers.models.deepseek_vl_hybrid import DeepseekVLHybridImageProcessorPil

    torch.manual_seed(seed)
    words = tokenizer(folder)
    high = {
        "model_type": "sam_vision_model", "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 64, "patch_size": 4, "mlp_dim": 64, "window_size": 4,
        "global_attn_indexes": [1], "num_pos_feats": 8,
    }  # fmt: skip
    config = DeepseekVLHybridConfig(
        text_config=text_config(), vision_config=vision_config(), high_res_vision_config=high,
        image_token_id=words.image_token_id,
    )  # fmt: skip
    model = _spread(DeepseekVLHybridForConditionalGeneration(config))
    model.save_pretrained(folder)
    pictures = DeepseekVLHybridImageProcessorPil(
        size={"height": 32, "width": 32}, high_res_size={"height": 64, "width": 64}
    )
    DeepseekVLHybridProcessor(pictures, words, chat_template=TEMPLATE, num_image_tokens=16).save_pretrained(folder)
    return folder


def _spread(model: Any) -> Any:
    """Make random weights large enough that different prompts get different answers."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(4)
    return model


def config_of(kind: str, **more: Any) -> Any:
    """A small configuration of a kind: `llama`, `qwen2`, `mistral` with a window, `deepseek_v2`, `t5`, `bert`, …"""
    from transformers import AutoConfig

    shape = text_config(model_type=kind)
    experts = {
        "num_key_value_heads": 4, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
        "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 32,
        "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "mistral": {"sliding_window": 24},
        "deepseek_v2": {"q_lora_rank": None, **experts},
        "deepseek_v3": {"q_lora_rank": 16, **experts},
        "t5": {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 2},
        "bert": {"max_position_embeddings": 64},
        "roberta": {"max_position_embeddings": 67},  # of which the padding token's number, 2, and those before are lost
    }
    return AutoConfig.for_model(**{**shape, **changes.get(kind, {}), **more})


def language_model(folder: Path, kind: str, *, seed: int = 0, **more: Any) -> Path:
    """A small decoder of a kind, or a T5; further fields of its configuration can be given."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.manual_seed(seed)
    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    _spread(auto.from_config(config_of(kind, **more))).save_pretrained(folder)
    tokenizer(folder).save_pretrained(folder)
    return folder


def classifier(folder: Path, kind: str, labels: Sequence[str] = ("LABEL_0", "LABEL_1"), *, seed: int = 0) -> Path:
    """A small sequence classifier of a kind, whose outputs have these names."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    names = dict(enumerate(labels))
    config = config_of(kind, id2label=names, label2id={name: number for number, name in names.items()})
    _spread(AutoModelForSequenceClassification.from_config(config)).save_pretrained(folder)
    pair_tokenizer(folder, types=kind == "bert").save_pretrained(folder)
    return folder


def encoder(folder: Path, kind: str = "bert", *, seed: int = 0) -> Path:
    """A small text encoder of a kind, without a head; of a T5 the encoder."""
    import torch
    from transformers import AutoModel, T5EncoderModel

    torch.manual_seed(seed)
    auto: Any = T5EncoderModel._from_config if kind == "t5" else AutoModel.from_config
    _spread(auto(config_of(kind))).save_pretrained(folder)
    pair_tokenizer(folder, types=kind == "bert").save_pretrained(folder)
    return folder


def sentence_encoder(folder: Path, *, pooling: dict[str, Any], steps: Sequence[str] = (), **files: Any) -> Path:
    """A small encoder in a folder of sentence-transformers; further files are given by their names without ending."""
    encoder(folder)
    kinds = ["Transformer", "Pooling", *steps]
    modules = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 48, **pooling}))
    for name, content in {"modules": modules, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def pair_tokenizer(folder: Path, *, types: bool) -> Any:
    """The tokenizer, with <s> before and </s> after each text, and with types for the two of a pair if wanted."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = tokenizer(folder).backend_tokenizer
    backend.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        model_input_names=["input_ids", *(["token_type_ids"] if types else []), "attention_mask"],
    )  # fmt: skip


def dual_encoder(folder: Path, kind: str = "clip", *, limit: int = 24, seed: int = 0) -> Path:
    """CLIP or SigLIP, 16 patches a picture; texts begin and end with the tokens of that, `limit` of them at most."""
    import torch
    from tokenizers import processors
    from transformers import AutoConfig, AutoModel
    from transformers.models.clip import CLIPImageProcessorPil, CLIPProcessor
    from transformers.models.siglip import SiglipImageProcessorPil, SiglipProcessor

    torch.manual_seed(seed)
    words = tokenizer(folder)
    words.model_max_length = limit
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**shape, "vocab_size": 400, "max_position_embeddings": limit, "bos_token_id": 0, "eos_token_id": 1,
            "pad_token_id": 2, "projection_size": 32}  # fmt: skip
    vision = {**shape, "image_size": 32, "patch_size": 8}
    config = AutoConfig.for_model(kind, text_config=text, vision_config=vision, projection_dim=16)
    _spread(AutoModel.from_config(config)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    if kind == "clip":
        processor = CLIPProcessor(CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size), words)
    else:
        processor = SiglipProcessor(SiglipImageProcessorPil(size=size), words)
    processor.save_pretrained(folder)
    return folder


def mixture(folder: Path, *, seed: int = 0) -> Path:
    """A mixture of eight experts, two a token, that reads 4 cells of a picture and 5 steps of 0.4 seconds of sound."""
    import torch
    from transformers import PreTrainedTokenizerFast, ResNetConfig
    from transformers.models.deepseek_vl import DeepseekVLImageProcessorPil

    from evals.models.architectures.mixture import (
        MelExtractor,
        MixtureConfig,
        MixtureForConditionalGeneration,
        MixtureProcessor,
    )

    torch.manual_seed(seed)
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(folder).backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>", "audio_token": "<pad>"},
    )  # fmt: skip
    text = "{% else %}{{ c['text'] }}"
    template = TEMPLATE.replace(text, "{% elif c['type'] == 'audio' %}<pad>" + text)
    vision = ResNetConfig(
        embedding_size=8, hidden_sizes=[16], depths=[1], layer_type="basic", downsample_in_first_stage=True
    )
    config = MixtureConfig(
        text_config=config_of("deepseek_v3", n_routed_experts=8), vision_config=vision, image_side=16, image_cells=4,
        audio_steps=5, mel_bands=20, image_token_id=words.image_token_id, audio_token_id=words.pad_token_id,
        ears_width=16,
    )  # fmt: skip
    _spread(MixtureForConditionalGeneration(config)).save_pretrained(folder)
    MixtureProcessor(
        DeepseekVLImageProcessorPil(size={"height": 16, "width": 16}), MelExtractor(feature_size=20, seconds=0.4),
        words, chat_template=template, num_image_tokens=4, num_audio_tokens=5,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def two_streams(folder: Path, *kinds: str, limit: int = 40, seed: int = 0) -> Path:
    """BLIP with 17 positions a picture: `BlipForQuestionAnswering`, `BlipForImageTextRetrieval`, or both in one."""
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
    from tokenizers.processors import TemplateProcessing
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    torch.manual_seed(seed)
    words = tokenizer(folder)
    words.model_max_length = limit
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**shape, "vocab_size": 400, "max_position_embeddings": limit, "bos_token_id": 3, "sep_token_id": 1,
            "pad_token_id": 2}  # fmt: skip
    vision = {**shape, "image_size": 32, "patch_size": 8, "initializer_range": 0.2}
    config = transformers.BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=16)
    weights: dict[str, Any] = {}
    for kind in kinds:
        model = _spread(_spread(getattr(transformers, kind)(config)))
        model.save_pretrained(folder)
        weights = {**load_file(folder / "model.safetensors"), **weights}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    transformers.BlipProcessor(pictures, words).save_pretrained(folder)
    return folder
