"""Evaluation during training: quick shares of right answers, by which a person follows a run.

Answers are not generated. An answer counts as right if greedy decoding would produce it, that is if at each of its
positions the right token has the highest logit.

Shapes: B images, P patches, W words of `WORDS`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from evals.models.replicas.training.contrastive import embed_images, embed_texts
from evals.models.replicas.training.image_examples import FIRST_EVALUATION_GROUP, caption_groups, evaluation_sheets
from evals.models.replicas.training.patches import BACKGROUND, WORDS
from evals.models.replicas.training.question_packing import Packer, QuestionBatch, decoder_inputs
from evals.models.replicas.training.text_batches import IGNORED, text_batches
from evals.models.replicas.training.text_examples import TextExample
from evals.tasks.mini.images.scenes import COLORS, SHAPES, SIZES, TEXTURES
from evals.tasks.mini.retrieval import GROUP

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAIRS_OF_IMAGES = 60
"""Pairs of images with questions, about 550 questions."""

Shares = dict[str, float]
"""Shares of what is right, in 0 to 1, by name."""


def is_right(logits: torch.Tensor, *labels: torch.Tensor) -> list[bool]:
    """Return for each row whether greedy decoding would produce all of its labels.

    Args:
        logits: (N, T, vocabulary).
        labels: (N, T) int64 each, `IGNORED` where nothing is predicted.
    """
    import torch

    predicted = logits.argmax(-1)
    right = torch.ones(len(predicted), dtype=torch.bool)
    for targets in labels:
        right &= ((predicted == targets) | (targets == IGNORED)).all(1)
    rows: list[bool] = right.tolist()
    return rows


def text_shares(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[TextExample]) -> Shares:
    """Compute the share of examples that a decoder would answer completely right, by task."""
    import torch

    shares = {}
    for task, of_task in by_task(examples).items():
        right: list[bool] = []
        for batch in text_batches(tokenizer, of_task, parts=2):
            with torch.no_grad():
                logits = model(batch.tokens, use_cache=False).logits
            right += is_right(logits, batch.answers, batch.solutions, batch.results)
        shares[task] = sum(right) / len(right)
    return shares


def by_task(examples: Iterable[TextExample]) -> dict[str, list[TextExample]]:
    """Group examples by task, in the order in which the tasks first occur."""
    groups: dict[str, list[TextExample]] = {}
    for example in examples:
        groups.setdefault(example.task, []).append(example)
    return groups


def shares_text(shares: Shares) -> str:
    """Format shares for one line of a log.

    >>> shares_text({"cola": 0.5, "math": 0.625})
    'cola 0.50 math 0.62'
    """
    return " ".join(f"{name} {share:.2f}" for name, share in shares.items())


def patch_shares_right(model: PreTrainedModel, packer: Packer, words: torch.Tensor) -> Shares:
    """Compute how often the nearest word embedding names a patch's color, shape, size and texture.

    Args:
        model: Its image features are compared with the embeddings of words.
        packer: Makes the batch.
        words: (W,) int64, `word_ids` of the tokenizer.
    """
    import torch
    from torch.nn.functional import normalize

    batch, _ = _evaluation_batch(packer)
    with torch.no_grad():
        patches = model.model.get_image_features(batch.pixels).pooler_output
        cosines = normalize(patches, dim=-1) @ normalize(model.get_input_embeddings().weight[words], dim=-1).T
    return nearest_words_right(cosines, batch.words)


def nearest_words_right(cosines: torch.Tensor, true: torch.Tensor) -> Shares:
    """Compute the share of things' patches whose nearest color, shape, size and texture is the right one.

    Args:
        cosines: (B, P, W) of patches with the words of `WORDS`.
        true: (B, P, W), 1 where a word is true of a patch.
    """
    on_thing = true[..., WORDS.index(BACKGROUND)] == 0
    shares = {}
    for name, values in {"color": tuple(COLORS), "shape": SHAPES, "size": SIZES, "texture": TEXTURES}.items():
        columns = [WORDS.index(word) for word in values]
        right = cosines[..., columns].argmax(-1) == true[..., columns].argmax(-1)
        shares[name] = round(right[on_thing].float().mean().item(), 3)
    return shares


def answers_right(model: PreTrainedModel, packer: Packer) -> Shares:
    """Compute the share of right answers to questions about images, overall and by answer type."""
    import torch

    batch, answer_types = _evaluation_batch(packer)
    is_label = batch.labels != IGNORED
    with torch.no_grad():
        patches = model.model.get_image_features(batch.pixels).pooler_output
        states = model.model.language_model(**decoder_inputs(model, batch, patches)).last_hidden_state
        logits = model.lm_head(states[is_label])
    labels = batch.labels[is_label]
    right = (logits.argmax(-1) == labels).tolist()
    # The labels of each answer end with the end token.
    ends = [index + 1 for index, label in enumerate(labels.tolist()) if label == packer.tokenizer.eos_token_id]
    spans = zip([0, *ends], ends, strict=False)
    return means_by_kind((kind, all(right[start:end])) for kind, (start, end) in zip(answer_types, spans, strict=True))


@cache
def _evaluation_batch(packer: Packer) -> tuple[QuestionBatch, list[str]]:
    """Make the batch for evaluation, and list the answer types of its questions."""
    sheets = evaluation_sheets(PAIRS_OF_IMAGES)
    return packer.pack(sheets), [question.answer_type for sheet in sheets for question in sheet.questions]


def means_by_kind(scores: Iterable[tuple[str, float]]) -> Shares:
    """Average scores overall ("all") and by kind, rounded to four digits."""
    scores_by_kind: dict[str, list[float]] = defaultdict(list)
    for kind, score in scores:
        scores_by_kind["all"].append(score)
        scores_by_kind[kind].append(score)
    return {kind: round(sum(values) / len(values), 4) for kind, values in sorted(scores_by_kind.items())}


def retrieval_shares(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, images: int) -> Shares:
    """Compute recall@1 and recall@5 among `images` evaluation images and their captions, rounded to three digits."""
    import torch

    captioned_images = caption_groups(range(FIRST_EVALUATION_GROUP, FIRST_EVALUATION_GROUP + images, GROUP))
    image_of_text = [n for n, captioned in enumerate(captioned_images) for _ in captioned.captions]
    scenes = [captioned.scene for captioned in captioned_images]
    with torch.no_grad():
        embedded = [embed_images(model, tokenizer, scenes[at : at + 50]) for at in range(0, len(scenes), 50)]
        texts = embed_texts(model, tokenizer, [text for captioned in captioned_images for text in captioned.captions])
    recalls = recall_at(torch.cat(embedded), texts, torch.tensor(image_of_text))
    return {name: round(recall, 3) for name, recall in recalls.items()}


def recall_at(
    images: torch.Tensor, texts: torch.Tensor, image_of_text: torch.Tensor, ranks: Sequence[int] = (1, 5)
) -> Shares:
    """Compute recall@k in both directions.

    Args:
        images: (B, D) embeddings.
        texts: (N, D) embeddings.
        image_of_text: (N,) int64: the index of each text's image.
        ranks: The values of k.

    Returns:
        `i2t@k`, the share of images that have one of their texts among the k nearest, and `t2i@k`, the share of texts
        that have their image among the k nearest.
    """
    import torch
    from torch.nn.functional import normalize

    cosines = normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    recalls = {}
    for k in ranks:
        to_text = (image_of_text[cosines.topk(k).indices] == torch.arange(len(images))[:, None]).any(1)
        to_image = (cosines.T.topk(k).indices == image_of_text[:, None]).any(1)
        recalls[f"i2t@{k}"] = to_text.float().mean().item()
        recalls[f"t2i@{k}"] = to_image.float().mean().item()
    return recalls
