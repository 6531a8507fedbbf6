"""Images of scenes for training: their pixels, and for every patch the words that are true of it.

Shapes: B images, P patches (`PATCHES` per side, squared), W words of `WORDS`, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import COLORS, GROUNDS, SHAPES, SIDE, SIZES, TEXTURES, Scene, Thing, silhouette

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil

PATCH = 12
"""Width and height of a patch, in pixels."""
PATCHES = SIDE // PATCH

POSITIONS = ("left", "right", "top", "bottom")
BACKGROUND = "background"
WORDS = tuple(dict.fromkeys((*COLORS, *GROUNDS, *SHAPES, *SIZES, *TEXTURES, *POSITIONS, BACKGROUND)))
"""What can be true of a patch, in the words of the questions."""

BACKGROUND_SHARE = 0.08
"""Share of a patch that a thing must cover for the patch to show the thing and not the background."""


def pixels(scenes: Sequence[Scene]) -> torch.Tensor:
    """Draw scenes as the image processor would prepare them, (B, 3, SIDE, SIDE) float32 in -1 to 1."""
    import numpy as np
    import torch

    images = np.stack([np.asarray(draw(scene)) for scene in scenes])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def patch_shares(scene: Scene) -> np.ndarray:
    """Compute the share of each patch that each thing covers, hidden or not: (things, P) float32 in 0 to 1."""
    import numpy as np

    return np.stack(
        [np.asarray(silhouette(thing).reduce(PATCH), np.float32).reshape(-1) / 255 for thing in scene.things]
    )


def patch_words(scene: Scene, shares: np.ndarray) -> torch.Tensor:
    """Mark the words that are true of each patch, (P, W) float32.

    Args:
        scene: The scene that is drawn.
        shares: Its `patch_shares`.

    Returns:
        1 for the words that are true of the thing that covers most of a patch; for `background` and the background's
        color where no thing covers `BACKGROUND_SHARE`.
    """
    import numpy as np
    import torch

    words = np.zeros((len(scene.things) + 1, len(WORDS)), np.float32)
    words[-1, [WORDS.index(BACKGROUND), WORDS.index(scene.ground)]] = 1
    for row, thing in zip(words, scene.things, strict=False):
        true = (thing.color, thing.shape, thing.size, thing.texture, *_positions(thing))
        row[[WORDS.index(word) for word in true]] = 1
    ground = np.full((1, PATCHES**2), BACKGROUND_SHARE, np.float32)
    return torch.from_numpy(words[np.concatenate([shares, ground]).argmax(0)])


def _positions(thing: Thing) -> list[str]:
    middle = SIDE // 2
    is_true = (thing.x < middle - 6, thing.x > middle + 6, thing.y < middle - 6, thing.y > middle + 6)
    return [position for position, true in zip(POSITIONS, is_true, strict=True) if true]


def words_of_scenes(scenes: Sequence[Scene]) -> torch.Tensor:
    """Mark the words that are true of each patch of each scene, (B, P, W) float32."""
    import torch

    return torch.stack([patch_words(scene, patch_shares(scene)) for scene in scenes])


def image_processor() -> DeepseekVLImageProcessorPil:
    """Make an image processor that scales pixels to -1 to 1, and resizes images that are not of a scene's size."""
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil

    half = [0.5, 0.5, 0.5]
    return DeepseekVLImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, min_size=PATCH, image_mean=half, image_std=half
    )


def word_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Return the token of each of `WORDS` as it occurs within a sentence, (W,) int64."""
    import torch

    return torch.tensor([tokenizer.convert_tokens_to_ids(tokenizer.tokenize(f" {word}"))[0] for word in WORDS])


def word_loss(states: torch.Tensor, embeddings: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Compute the binary cross-entropy of predicting which words are true, from cosines with the words' embeddings.

    Args:
        states: (B, P, D), of patches, or of time steps of audio.
        embeddings: (W, D), the decoder's embeddings of the words.
        words: (B, P, W), 1 where a word is true.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    # About eight words are true of a patch, so its cosine with each can be about 0.35 at most: one over their root.
    cosine = normalize(states, dim=-1) @ normalize(embeddings, dim=-1).T
    return binary_cross_entropy_with_logits(24 * cosine - 4, words)


def scene_word_loss(model: PreTrainedModel, words: torch.Tensor, scenes: Sequence[Scene]) -> torch.Tensor:
    """Compute the `word_loss` of a vision-language model's image features of some scenes.

    Args:
        model: Its image features are compared with its embeddings of words.
        words: (W,) int64, `word_ids` of the tokenizer.
        scenes: The scenes.
    """
    patches = model.model.get_image_features(pixels(scenes)).pooler_output
    return word_loss(patches, model.get_input_embeddings().weight[words], words_of_scenes(scenes))
