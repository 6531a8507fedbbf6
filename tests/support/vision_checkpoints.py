"""Small random checkpoints of today's vision-language architectures: real classes and processors, made-up weights.

`BUILDERS` has one function per architecture. Where the library's processor also reads videos, which needs torchvision,
`images_only` lets it load without that part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import checkpoints

IMAGE_SIDE = 32
CHAT = (
    "{{% for m in messages %}}{{% if loop.first %}}<s>{{% endif %}}User: {{% for c in m['content'] %}}"
    "{{% if c['type'] == 'image' %}}{image}{{% else %}}{{{{ c['text'] }}}}{{% endif %}}{{% endfor %}}\n\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}Assistant:{{% endif %}}"
)
"""A chat template that writes the tokenizer's first token itself, as those of public checkpoints do."""
SIDE = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
PINPOINTS = [[32, 64], [64, 32], [64, 64]]


def tokenizer(special: Sequence[str] = (), **named: str) -> Any:
    """Make a byte-level tokenizer that has these special tokens; `named` ones are attributes of it too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    tokens = list(dict.fromkeys(["<s>", "</s>", "<pad>", *special, *named.values()]))
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=tokens, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    bpe.train_from_iterator(checkpoints.TEXT * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>", extra_special_tokens=dict(named),
        additional_special_tokens=list(special),
    )  # fmt: skip


def siglip(**changes: Any) -> dict[str, Any]:
    return {**checkpoints.vision_config(), "patch_size": 16, **changes}


def clip() -> dict[str, Any]:
    return {**siglip(), "model_type": "clip_vision_model", "projection_dim": 16}


def text(kind: str = "llama", **changes: Any) -> dict[str, Any]:
    return checkpoints.text_config(model_type=kind, **changes)


def _save(folder: Path, config: Any, processor: Any) -> Path:
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    for name, parameter in model.named_parameters():
        if not bool(parameter.any()):  # gates and projections that begin at zero would hide the image
            parameter.data.normal_(std=0.1)
        if parameter.dim() > 1:
            parameter.data.mul_(16 if "projector" in name else 4)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _llava_like(folder: Path, name: str, **changes: Any) -> Path:
    import transformers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    words = tokenizer(image_token="<image>")
    config = transformers.AutoConfig.for_model(
        name, text_config=text(), vision_config=clip(), image_token_index=words.image_token_id, **changes
    )
    size = {"size": {"shortest_edge": IMAGE_SIDE}, "crop_size": SIDE}
    options = {"patch_size": 16, "num_additional_image_tokens": 1, "chat_template": CHAT.format(image="<image>")}
    options["vision_feature_select_strategy"] = "default"
    processor: Any
    if name == "llava_next":
        images = LlavaNextImageProcessorPil(**size, image_grid_pinpoints=PINPOINTS)
        processor = transformers.LlavaNextProcessor(images, words, **options)
    else:
        processor = transformers.LlavaProcessor(CLIPImageProcessorPil(**size), words, **options)
    return _save(folder, config, processor)


def llava(folder: Path) -> Path:
    return _llava_like(folder, "llava")


def vipllava(folder: Path) -> Path:
    return _llava_like(folder, "vipllava", vision_feature_layers=[-1, -2])


def llava_next(folder: Path) -> Path:
    return _llava_like(folder, "llava_next", image_grid_pinpoints=PINPOINTS)


def llava_onevision(folder: Path) -> Path:
    import transformers
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    words = tokenizer(image_token="<image>", video_token="<video>")
    config = transformers.LlavaOnevisionConfig(
        text_config=text("qwen2"), vision_config=siglip(), image_token_index=words.image_token_id,
        video_token_index=words.video_token_id, image_grid_pinpoints=PINPOINTS,
    )  # fmt: skip
    images = LlavaOnevisionImageProcessorPil(size=SIDE, image_grid_pinpoints=PINPOINTS)
    processor = transformers.LlavaOnevisionProcessor(
        images, words, num_image_tokens=4, vision_feature_select_strategy="full",
        chat_template=CHAT.format(image="<image>"),
    )  # fmt: skip
    return _save(folder, config, processor)


def paligemma(folder: Path) -> Path:
    import transformers
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = tokenizer(image_token="<image>")
    images = SiglipImageProcessorPil(size=SIDE)
    images.image_seq_length = 4
    config = transformers.PaliGemmaConfig(
        text_config=text("gemma", head_dim=12, tie_word_embeddings=False),
        vision_config=siglip(projection_dim=48), projection_dim=48,
        image_token_index=words.image_token_id, hidden_size=48, tie_word_embeddings=False,
    )  # fmt: skip
    return _save(folder, config, transformers.PaliGemmaProcessor(images, words))


def gemma3(folder: Path) -> Path:
    import transformers
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    words = tokenizer(image_token="<image_soft>", boi_token="<start_of_image>", eoi_token="<end_of_image>")
    config = transformers.Gemma3Config(
        text_config=text(
            "gemma3_text", head_dim=12, sliding_window=24, num_hidden_layers=6, tie_word_embeddings=False
        ),
        vision_config=siglip(),
        mm_tokens_per_image=4, image_token_index=words.image_token_id, boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    processor = transformers.Gemma3Processor(
        Gemma3ImageProcessorPil(size=SIDE), words, image_seq_length=4,
        chat_template=CHAT.format(image="<start_of_image>"),
    )  # fmt: skip
    return _save(folder, config, processor)


def _idefics_like(folder: Path, name: str, **changes: Any) -> Path:
    import transformers
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    cells = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    words = tokenizer(["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *cells])
    token = words.convert_tokens_to_ids("<image>")
    config = transformers.AutoConfig.for_model(
        name, vision_config={**siglip(patch_size=8), "model_type": f"{name}_vision"}, image_token_id=token,
        scale_factor=2, **{"text_config": text(), **changes},
    )  # fmt: skip
    size = {"size": {"longest_edge": 2 * IMAGE_SIDE}, "max_image_size": {"longest_edge": IMAGE_SIDE}}
    options = {"image_seq_len": 4, "chat_template": CHAT.format(image="<image>")}
    if name == "idefics3":
        return _save(
            folder, config, transformers.Idefics3Processor(Idefics3ImageProcessorPil(**size), words, **options)
        )
    processor = transformers.SmolVLMProcessor(SmolVLMImageProcessorPil(**size), words, None, **options)
    return _save(folder, config, processor)


def idefics3(folder: Path, **changes: Any) -> Path:
    return _idefics_like(folder, "idefics3", **changes)


def smolvlm(folder: Path) -> Path:
    return _idefics_like(folder, "smolvlm")


def internvl(folder: Path) -> Path:
    import transformers
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    words = tokenizer(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>"
    )
    vision = {
        "model_type": "internvl_vision", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": (32, 32), "patch_size": (8, 8),
    }  # fmt: skip
    config = transformers.InternVLConfig(
        text_config=text("qwen2"), vision_config=vision, image_token_id=words.context_image_token_id,
        image_seq_length=4, tie_word_embeddings=False,
    )  # fmt: skip
    images = GotOcr2ImageProcessorPil(size=SIDE, crop_to_patches=True, max_patches=4)
    processor = transformers.InternVLProcessor(
        images, words, image_seq_length=4, chat_template=CHAT.format(image="<IMG_CONTEXT>")
    )
    return _save(folder, config, processor)


def _qwen_like(folder: Path, name: str) -> Path:
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = tokenizer(["<|vision_start|>", "<|vision_end|>"], image_token="<|image_pad|>", video_token="<|video_pad|>")
    vision: dict[str, Any] = {"depth": 2, "num_heads": 4, "patch_size": 8, "hidden_size": 32, "intermediate_size": 64}
    if name == "qwen2_vl":
        vision |= {"embed_dim": 32, "hidden_size": 48, "mlp_ratio": 2}
    else:
        vision |= {"out_hidden_size": 48}
    if name == "qwen2_5_vl":
        vision |= {"window_size": 32, "fullatt_block_indexes": [1]}
    if name.startswith("qwen3"):
        vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]}
    decoder = text(f"{name}_text", head_dim=12, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2],
        **({"mrope_interleaved": True} if name.startswith("qwen3") else {}),
    })  # fmt: skip
    tokens = {f"{part}_token_id": words.convert_tokens_to_ids(f"<|{part}|>") for part in ("vision_start", "vision_end")}
    config = transformers.AutoConfig.for_model(
        name, text_config=decoder, vision_config=vision, image_token_id=words.image_token_id,
        video_token_id=words.video_token_id, **tokens,
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 16 * 16, "longest_edge": 48 * 48})
    kind = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}.get(name, "Qwen3VLProcessor")
    processor = getattr(transformers, kind)(
        images, words, chat_template=CHAT.format(image="<|vision_start|><|image_pad|><|vision_end|>")
    )
    return _save(folder, config, processor)


def qwen2_vl(folder: Path) -> Path:
    return _qwen_like(folder, "qwen2_vl")


def qwen2_5_vl(folder: Path) -> Path:
    return _qwen_like(folder, "qwen2_5_vl")


def qwen3_vl(folder: Path) -> Path:
    return _qwen_like(folder, "qwen3_vl")


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "deepseek_vl": checkpoints.deepseek_vl,
    "deepseek_vl_hybrid": checkpoints.deepseek_vl_hybrid,
    **{
        build.__name__: build
        for build in (
            llava, vipllava, llava_next, llava_onevision, paligemma, gemma3, idefics3, smolvlm, internvl, qwen2_vl,
            qwen2_5_vl, qwen3_vl,
        )
    },
}  # fmt: skip
"""Builds the checkpoint of a model type in a folder."""
WITH_VIDEO = frozenset({"llava_onevision", "smolvlm", "internvl", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
"""Model types whose processors also read videos, for which the library needs torchvision."""

NEEDS_AN_IMAGE = frozenset({"paligemma"})
"""Model types whose processors reject a prompt without images."""
WITHOUT_PLACEHOLDER = frozenset({"blip", "blip-2", "git", "instructblip", "kosmos-2", "pix2struct", "udop"})
"""Model types that mark images in no text, or by something else than a token."""


@contextmanager
def images_only() -> Iterator[None]:
    """Let the library's processors load without their video part, and SmolVLM's without num2words."""
    from transformers import ProcessorMixin
    from transformers.models.smolvlm import processing_smolvlm

    frames = SimpleNamespace(num_frames=1, fps=1)  # SmolVLM's chat template asks for these numbers
    attributes = ProcessorMixin.get_attributes.__func__

    def without_video(cls: type) -> list[str]:
        return [name for name in attributes(cls) if name != "video_processor"]

    with (
        mock.patch.object(ProcessorMixin, "get_attributes", classmethod(without_video)),
        mock.patch.object(processing_smolvlm, "num2words", str),
        mock.patch.object(processing_smolvlm.SmolVLMProcessor, "video_processor", frames, create=True),
        mock.patch.object(processing_smolvlm.SmolVLMProcessor.__init__, "__defaults__", (None, 169, None)),
    ):
        yield
