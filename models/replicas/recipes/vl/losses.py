"""The losses of answering questions about images, among them those of attending to what the questions are about.

Shapes: B images, S tokens, P patches, L tokens with attention targets, N labels in a batch, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.training.patches import word_loss
from evals.models.replicas.training.question_packing import QuestionBatch, decoder_inputs
from evals.models.replicas.training.text_batches import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration

NAME_LAYERS, QUESTION_LAYERS = (1, 2), (3, 4)
"""Decoder layers, counted from 0, whose first head is taught to attend from names, and from the ends of questions."""


class QuestionOutput(NamedTuple):
    """What the model computed for a batch."""

    logits: torch.Tensor
    """(N, vocabulary) at the positions that have a label."""
    patches: torch.Tensor
    """(B, P, D) from the aligner: what the decoder reads of the images."""
    states: tuple[torch.Tensor, ...]
    """(B, S, D) going into each layer of the decoder, and out of the last."""


def read_questions(model: DeepseekVLForConditionalGeneration, batch: QuestionBatch) -> QuestionOutput:
    """Run the model over packed questions."""
    import torch

    is_trained = next(model.model.vision_model.parameters()).requires_grad
    with torch.set_grad_enabled(is_trained and torch.is_grad_enabled()):
        patches = model.model.get_image_features(batch.pixels).pooler_output
    output = model.model.language_model(**decoder_inputs(model, batch, patches), output_hidden_states=True)
    logits = model.lm_head(output.last_hidden_state[batch.labels != IGNORED])
    return QuestionOutput(logits, patches, output.hidden_states)


def answer_losses(
    model: DeepseekVLForConditionalGeneration, words: torch.Tensor, batch: QuestionBatch, attention_weight: float
) -> dict[str, torch.Tensor]:
    """Compute the losses of answering a batch.

    Args:
        model: The model in training.
        words: (W,) int64, `word_ids` of its tokenizer.
        batch: The images and questions.
        attention_weight: Weight of the attention loss.
    """
    from torch.nn.functional import cross_entropy

    output = read_questions(model, batch)
    return {
        "answers": cross_entropy(output.logits, batch.labels[batch.labels != IGNORED]),
        "words": 5 * word_loss(output.patches, model.get_input_embeddings().weight[words], batch.words),
        "attention": attention_weight * attention_loss(model, batch, output),
    }


def attention_loss(
    model: DeepseekVLForConditionalGeneration, batch: QuestionBatch, output: QuestionOutput
) -> torch.Tensor:
    """Compute the cross-entropy between supervised heads' attention over the patches and its targets, mean over layers.

    The heads' attention is computed again from the layers' inputs, so that the other heads can use the fast kernel.
    """
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    decoder = model.model.language_model
    rotation = decoder.rotary_emb(output.patches, batch.positions)
    is_patch = batch.tokens[0] == model.config.image_token_id
    targets_by_layer = {**dict.fromkeys(NAME_LAYERS, batch.names), **dict.fromkeys(QUESTION_LAYERS, batch.questions)}
    losses = []
    for number, targets in targets_by_layer.items():
        if not len(targets.tokens):  # a few questions name nothing, or are about no single thing
            continue
        attention = decoder.layers[number].self_attn
        state = decoder.layers[number].input_layernorm(output.states[number])
        weights = (attention.q_proj.weight, attention.k_proj.weight)
        query, key = ((state @ weight[: attention.head_dim].T)[:, None] for weight in weights)
        query, key = apply_rotary_pos_emb(query, key, *rotation)
        image, position = targets.tokens.T
        scores = torch.einsum("ld,lpd->lp", query[image, 0, position], key[:, 0, is_patch][image]) * attention.scaling
        losses.append(-(targets.patches * scores.log_softmax(-1)).sum(-1).mean())
    return torch.stack(losses).mean() if losses else output.patches.new_zeros(())
