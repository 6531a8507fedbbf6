"""Small random checkpoints of the architectures that the library offers for text to text, from a generic configuration.

Every configuration class is given the small sizes of `SIZES` for those of its fields that are listed there; `CHANGES`
has what an architecture needs beyond that. Layers of every kind are kept: windows are shorter than the prompts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import checkpoints

VOCABULARY = 400
WINDOW = 8
POSITIONS = 512
SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "d_model": 32, "n_embd": 32, "num_attention_heads": 4, "n_head": 4,
    "num_heads": 4, "n_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "d_ff": 64,
    "ffn_dim": 64, "d_kv": 8, "n_inner": 64, "decoder_ffn_dim": 64, "encoder_ffn_dim": 64, "decoder_layers": 2,
    "encoder_layers": 2, "decoder_attention_heads": 4, "encoder_attention_heads": 4, "num_hidden_layers": 2,
    "n_layer": 2, "n_layers": 2, "num_layers": 2, "num_decoder_layers": 2, "max_position_embeddings": POSITIONS,
    "n_positions": POSITIONS, "sliding_window": WINDOW, "attention_window_size": WINDOW, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "shared_intermediate_size": 32, "num_experts": 4, "num_local_experts": 4,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "index_head_dim": 8, "index_n_heads": 2, "index_topk": 4, "mamba_d_state": 8, "mamba_n_heads": 4,
    "mamba_d_head": 16, "mamba_expand": 2, "mamba_n_groups": 1,
    "mamba_chunk_size": WINDOW, "state_size": 8, "chunk_size": WINDOW,
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 2, "use_cache": True,
}  # fmt: skip
"""By the name of a field: its value in every configuration that has it."""
_GEMMA_4 = {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8}
_NO_SHARED_CACHE = {"num_kv_shared_layers": 0}
_BERT = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64}  # fmt: skip
_LATENT = {"num_key_value_heads": 4}
"""Attention on a compressed state has as many heads of keys as of queries."""
_ROPE = {"rope_type": "default", "rope_theta": 1e4}
_BYTES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
          "num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": POSITIONS}  # fmt: skip
_BYTES_OF_PATCHES = {**_BYTES, "hidden_size_global": 64}
_PATCHES = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 2,
            "intermediate_size": 64, "max_position_embeddings": POSITIONS}  # fmt: skip
_GEMMA = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
          "head_dim": 8, "num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": POSITIONS,
          "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"], "pad_token_id": 2,
          "bos_token_id": 0, "eos_token_id": 1}  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "bailing_hybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite",
                     "glm_moe_dsa", "minicpm3", "youtu"), _LATENT),
    "encoder-decoder": {"encoder": {"model_type": "bert", **_BERT}, "decoder": {
        "model_type": "bert", "is_decoder": True, "add_cross_attention": True, **_BERT}},
    "fsmt": {"src_vocab_size": VOCABULARY, "tgt_vocab_size": VOCABULARY, "langs": ["en", "de"]},
    "led": {"attention_window": WINDOW, "max_encoder_position_embeddings": POSITIONS,
            "max_decoder_position_embeddings": POSITIONS},
    "longt5": {"local_radius": 4, "global_block_size": 4},
    "nllb-moe": {"encoder_sparse_step": 1, "decoder_sparse_step": 1},
    "prophetnet": {"num_encoder_layers": 2, "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4},
    "switch_transformers": {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1, "expert_capacity": 4},
    "xmod": {"default_language": "en_XX"},
    "codegen": {"rotary_dim": 4},
    "gptj": {"rotary_dim": 4},
    "bamba": {"attn_layer_indices": [1], "mamba_expand": 2},
    "deepseek_v4": {"num_hidden_layers": 4},
    "dots1": {"n_shared_experts": 1},
    "blt": {"max_position_embeddings": POSITIONS, "encoder_hash_byte_group_vocab": 50,
            "local_attention_window_len": WINDOW, "patcher_config": _BYTES, "encoder_config": _BYTES_OF_PATCHES,
            "decoder_config": _BYTES_OF_PATCHES, "global_config": _PATCHES},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"],
                            "rope_parameters": {"sliding_attention": _ROPE, "full_attention": _ROPE}},
    "dbrx": {"max_seq_len": POSITIONS, "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
             "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2}},
    "dots3_note_text": {"num_key_value_heads": 4, "head_dim": 12, "shared_experts_intermediate_size": 32,
                        "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4, "swa_q_lora_rank": 16,
                        "swa_kv_lora_rank": 16, "swa_head_dim": 12, "swa_qk_nope_head_dim": 8, "swa_v_head_dim": 8},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {**_GEMMA_4, **_NO_SHARED_CACHE, "laurel_rank": 8,
                     "activation_sparsity_pattern": [0.0] * 4},
    "gemma4_text": _GEMMA_4,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {**_LATENT, "linear_head_dim": 8, "linear_num_heads": 4},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "lfm2": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"num_hidden_layers": 4, "num_dense_layers": 1, "layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {**_LATENT, "head_dim": 4, "ffn_hidden_size": 64, "moe_topk": 2,
                      "zero_expert_num": 2, "expert_ffn_hidden_size": 32},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "nemotron_h": {"ssm_state_size": 8, "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 1,
                   "moe_shared_expert_intermediate_size": 32},
    "recurrent_gemma": {"num_hidden_layers": 3, "num_key_value_heads": 1},
    "reformer": {"is_decoder": True, "axial_pos_shape": (16, 32), "axial_pos_embds_dim": (16, 16),
                 "attention_head_size": 8, "feed_forward_size": 64, "attn_layers": ("local", "lsh"),
                 "local_attn_chunk_length": WINDOW, "lsh_attn_chunk_length": WINDOW, "num_buckets": 4, "hash_seed": 0},
    "roc_bert": {"pronunciation_embed_dim": 8, "shape_embed_dim": 8, "pronunciation_vocab_size": 20,
                 "shape_vocab_size": 20},
    "phi4_multimodal": {
        "vision_config": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32,
                          "num_attention_heads": 4, "image_size": 28, "patch_size": 14, "crop_size": 28},
        "audio_config": {"hidden_size": 32, "num_blocks": 1, "num_attention_heads": 4, "intermediate_size": 32,
                         "ext_pw_out_channel": 32, "nemo_conv_channels": 32, "input_size": 8}},
    "qwen4_exp_text": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 4,
                       "indexer_compress_ratio": 2, "ple_layer_ids": [1], "ple_embed_dim": 8, "hc_lowrank": 8,
                       "ngram_vocab_size_base": 50, "make_ngram_vocab_size_divisible_by": 4, "split_ngram_parts": 2,
                       "heads_per_ngram": 2},
    "rwkv": {"attention_hidden_size": 32},
    "t5gemma2": {"decoder": _GEMMA, "image_token_index": VOCABULARY - 1, "encoder": {
        "text_config": _GEMMA, "image_token_index": VOCABULARY - 1, "vision_config": {
            "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 4,
            "image_size": 28, "patch_size": 14}}},
    "xlm": {"emb_dim": 32},
    "xlstm": {"hidden_size": 64, "num_blocks": 2, "ffn_round_up_to_multiple_of": 8, "qk_dim_factor": 1.0},
    "zamba": {"num_hidden_layers": 6, "attn_layer_period": 3, "attn_layer_offset": 1, "mamba_dt_rank": 4,
              "num_key_value_heads": 4},
    "zamba2": {"num_hidden_layers": 6, "layers_block_type": ["mamba", "hybrid"] * 3, "n_mamba_heads": 4,
               "num_key_value_heads": 4, "adapter_rank": 4},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}  # fmt: skip
"""By model type: further fields of its configuration, or other values."""


def config_of(kind: str, **changes: Any) -> Any:
    """Make the small configuration of a model type.

    Args:
        kind: the library's name of the architecture.
        changes: further fields.
    """
    from transformers import CONFIG_MAPPING

    config = _small(CONFIG_MAPPING[kind], {**CHANGES.get(kind, {}), **changes})
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = 2
    return config


def _small(config_class: Any, changes: Mapping[str, Any]) -> Any:
    fields = inspect.signature(config_class.__init__).parameters
    values = {name: value for name, value in SIZES.items() if name in fields}
    if "layer_types" in fields and "num_hidden_layers" in fields:
        values |= _layers(config_class)
    for name, nested in (getattr(config_class, "sub_configs", None) or {}).items():
        if (
            name in ("text_config", "encoder", "decoder")
            and isinstance(nested, type)
            and nested.__name__ != "AutoConfig"
        ):
            values[name] = _small(nested, {}).to_dict()
    return config_class(**{**values, **changes})


def _layers(config_class: Any) -> dict[str, Any]:
    """Return two layers of each kind that the default configuration has."""
    kinds = list(dict.fromkeys(getattr(config_class(), "layer_types", None) or ()))
    return {"num_hidden_layers": 2 * len(kinds), "layer_types": kinds * 2} if len(kinds) > 1 else {}


def randomise(model: Any, seed: int = 0) -> Any:
    """Give a model weights that are large enough that different prompts get different answers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.25, generator=generator)
    return model


def save(folder: Path, section: str, kind: str, *, most: int | None = None, **changes: Any) -> int:
    """Save a small random checkpoint of a model type, with a tokenizer of 400 entries.

    Args:
        folder: where.
        section: `decoders` or `encoder_decoders`.
        kind: the model type.
        most: nothing is saved if the model has more parameters.
        changes: further fields of the configuration.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    auto = AutoModelForCausalLM if section == "decoders" else AutoModelForSeq2SeqLM
    config = config_of(kind, **changes)
    if most is not None:
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in auto.from_config(config).parameters())
        if size > most:
            return size
    torch.manual_seed(0)
    model = randomise(auto.from_config(config_of(kind, **changes)))
    model.save_pretrained(folder)
    checkpoints.tokenizer(folder).save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())
