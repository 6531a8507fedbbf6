"""The evaluation of `v3` during training: patches named right, right answers, recall and right labels of GLUE."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.v3.data import SceneAndCaptions, question_batch, row_batches
from evals.models.replicas.recipes.v3.losses import (
    answer_logits,
    embed_images,
    embed_texts,
    tower_states,
    word_embeddings,
)
from evals.models.replicas.training.evaluation import Shares, by_task, is_right, nearest_words_right, recall_at
from evals.models.replicas.training.image_examples import caption_groups, evaluation_sheets
from evals.models.replicas.training.patches import words_of_scenes
from evals.models.replicas.training.text_examples import GLUE_TASKS, TextExample, evaluation_examples
from evals.tasks.mini.retrieval import GROUP
from evals.tasks.mini.vqa import QuestionSheet

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

FIRST_EVALUATION_IMAGE = 97_000_000
"""First image id of the images with captions; no bundled split uses these ids."""


class EvaluationSet(NamedTuple):
    """What the model is evaluated on during training."""

    sheets: list[QuestionSheet]
    captioned: list[SceneAndCaptions]
    rows: list[TextExample]


def evaluation_set(*, pairs: int, groups: int, rows: int) -> EvaluationSet:
    """Make an evaluation set.

    Args:
        pairs: Pairs of images with questions.
        groups: Groups of four images with captions.
        rows: Rows of each GLUE task.
    """
    firsts = range(FIRST_EVALUATION_IMAGE, FIRST_EVALUATION_IMAGE + groups * GROUP, GROUP)
    captioned = [(row.scene, row.captions) for row in caption_groups(firsts)]
    return EvaluationSet(evaluation_sheets(pairs), captioned, evaluation_examples(rows, GLUE_TASKS))


def patches_right(model: nn.ModuleDict, words: torch.Tensor, evaluated: EvaluationSet) -> Shares:
    """Compute how often the nearest word embedding names a patch's color, shape, size and texture."""
    import torch
    from torch.nn.functional import normalize

    scenes = [sheet.scene for sheet in evaluated.sheets]
    with torch.no_grad():
        states = tower_states(model, scenes)
        cosines = normalize(states[:, 1:], dim=-1) @ normalize(word_embeddings(model)[words], dim=-1).T
    return nearest_words_right(cosines, words_of_scenes(scenes))


def shares_right(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, evaluated: EvaluationSet) -> Shares:
    """Compute the shares of right answers, overall and by type, of retrieval, and of right labels by GLUE task."""
    import torch

    with torch.no_grad():
        shares = _answer_shares(model, tokenizer, evaluated.sheets)
        shares |= _recall(model, tokenizer, evaluated.captioned)
        encoder = model["answering"].text_encoder
        for task, rows in by_task(evaluated.rows).items():
            right: list[bool] = []
            for batch in row_batches(tokenizer, rows, parts=2):
                states = encoder(batch.tokens, attention_mask=batch.mask).last_hidden_state
                right += is_right(answer_logits(model, states, batch.mask, batch.answers), batch.answers.labels)
            shares[task] = sum(right) / len(right)
    return {name: round(share, 2) for name, share in shares.items()}


def _answer_shares(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, sheets: list[QuestionSheet]) -> Shares:
    """Compute the share of right answers to questions about images, overall and by type."""
    batch = question_batch(tokenizer, sheets)
    output = model["answering"].text_encoder(
        input_ids=batch.tokens,
        position_ids=batch.positions,
        attention_mask=batch.mask,
        encoder_hidden_states=tower_states(model, [sheet.scene for sheet in sheets]),
    )
    question_states = output.last_hidden_state.flatten(0, 1)[batch.token_indices]
    logits = answer_logits(model, question_states, batch.is_token, batch.answers)
    right = is_right(logits, batch.answers.labels)
    types = [question.answer_type for sheet in sheets for question in sheet.questions]
    shares = {"vqa": sum(right) / len(right)}
    for answer_type in sorted(set(types)):
        of_type = [row for row, row_type in zip(right, types, strict=True) if row_type == answer_type]
        shares[answer_type] = sum(of_type) / len(of_type)
    return shares


def _recall(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, captioned: list[SceneAndCaptions]) -> Shares:
    """Compute recall@1 and recall@5 between images and captions."""
    import torch

    image_of_text = torch.tensor([n for n, (_, texts) in enumerate(captioned) for _ in texts])
    images = embed_images(model, tower_states(model, [scene for scene, _ in captioned]))
    texts = embed_texts(model, tokenizer, [text for _, texts in captioned for text in texts])
    return recall_at(images, texts, image_of_text)
