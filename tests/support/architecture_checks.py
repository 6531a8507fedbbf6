"""Compare each row of a batch with the row alone, and the row alone with plain forward passes, for one architecture.

All of it goes through the family `causal`: log-likelihoods of continuations, and greedy texts. Prompts have lengths
from one token to several windows; some share what they begin with.
"""

from __future__ import annotations

import inspect
import resource
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import architecture_checkpoints
import msgspec
from model_requests import answers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.utils import logging

from evals.errors import one_line
from evals.models.decoding.batching.batch_rules import ArchitectureRow
from evals.models.decoding.batching.rotary import reset_rotary

IMAGE_CLASSES = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
LATER_TOKENS = "its attention reads later tokens"

TOLERANCE = 1e-4
"""Largest difference of a log-likelihood, in nats."""
NEW_TOKENS = 5
BUDGETS = (1, 200, 100_000)
"""Token budgets of the batches: the continuations of one prompt, a few rows, and all of them."""
SENTENCE = "How many squares are there? What color is the large circle? "
TEXTS = ("red", "What color?", SENTENCE[:28], SENTENCE[28:48], SENTENCE, SENTENCE * 2)
SHARED = "User: Assistant: yes no left right\n"
CHOICES = (" red", " left and right", " 3")


SWITCH = 16
"""Number of positions up to which the short factors of `longrope` hold; the prompts are shorter and longer."""
ROPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("llama", {}),
    "linear": ("llama", {"factor": 4.0}),
    "dynamic": ("llama", {"factor": 4.0, "original_max_position_embeddings": SWITCH}),
    "yarn": ("llama", {"factor": 4.0, "original_max_position_embeddings": SWITCH}),
    "llama3": ("llama", {"factor": 4.0, "original_max_position_embeddings": SWITCH, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0}),
    "longrope": ("phi3", {"original_max_position_embeddings": SWITCH, "long_factor": [4.0] * 4,
                          "short_factor": [1.0] * 4}),
    "proportional": ("llama", {"partial_rotary_factor": 0.5}),
}  # fmt: skip
"""By `rope_type`: the architecture that is compared with it, and its parameters."""
ROPE_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "dynamic": {"max_position_embeddings": SWITCH},
    "longrope": {"original_max_position_embeddings": SWITCH},
}
"""By `rope_type`: further fields of the configuration."""
VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "falcon": ({"alibi": True}, {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "gpt_neox": ({"use_parallel_residual": False},),
    "mixtral": ({"sliding_window": None},),
    "qwen2": ({"use_sliding_window": True, "max_window_layers": 1},),
    "qwen3": ({"use_sliding_window": True, "max_window_layers": 1},),
}
"""By model type: further configurations of it; all of them must run in batches."""
CAUSAL_FLAGS = ("is_decoder", "causal")
LARGEST = 3_000_000
"""Largest number of parameters of a checkpoint that is compared."""
MEMORY = 4 << 30
PROCESSOR_SECONDS = 120


def not_compared(reason: str) -> ArchitectureRow:
    """Return the row of an architecture that could not be compared."""
    return ArchitectureRow("row by row", f"not compared: {reason}")


def send(connection: Connection, section: str, name: str) -> None:
    """Check an architecture in this process, which gets little memory and time, and send the row."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    row = check(section, name)
    connection.send({"runs": row.runs, "reason": row.reason, "requires": row.requires, "padding": list(row.padding)})


def check(section: str, name: str) -> ArchitectureRow:
    """Compare the small checkpoints of an architecture, or of a scaling of rotary embeddings.

    Args:
        section: `decoders`, `encoder_decoders` or `ropes`.
        name: the model type, or the `rope_type`.
    """
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if section == "ropes":
        kind, parameters = ROPES[name]
        changes = {"rope_parameters": {"rope_type": name, "rope_theta": 1e4, **parameters}}
        return checked("decoders", kind, {**changes, **ROPE_FIELDS.get(name, {})})
    if section == "decoders" and MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[name] in IMAGE_CLASSES:
        return not_compared("a vision-language class, which the family vision_language reads")
    if section == "encoder_decoders" and not _is_encoder_decoder(name):
        return not_compared("a speech class, which the family causal does not load: it is no encoder-decoder")
    row = checked(section, name, {})
    if row.reason == LATER_TOKENS:
        fields = inspect.signature(CONFIG_MAPPING[name].__init__).parameters
        flags = [flag for flag in CAUSAL_FLAGS if flag in fields]
        if flags and (with_flag := checked(section, name, {flags[0]: True})).reason != LATER_TOKENS:
            row = msgspec.structs.replace(with_flag, requires=flags[0])
    for changes in VARIANTS.get(name, ()):
        if row.runs == "in batches":
            row = checked(section, name, changes)
    return row


def _is_encoder_decoder(name: str) -> bool:
    """Return whether a model type is an encoder-decoder; the library lists speech models beside them."""
    return bool(getattr(CONFIG_MAPPING[name], "is_encoder_decoder", False))


def checked(section: str, kind: str, changes: Mapping[str, Any]) -> ArchitectureRow:
    """Compare the small checkpoint of a configuration; one that the library cannot make or run is not compared."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            size = architecture_checkpoints.save(Path(folder), section, kind, most=LARGEST, **changes)
            if size > LARGEST:
                return not_compared(f"no small checkpoint of it is known, this one has {size} parameters")
            return compare(Path(folder))
        except Exception as error:  # the library can raise nearly any exception for a configuration it does not expect
            return not_compared(f"its small checkpoint ends in {type(error).__name__}: {one_line(error)[:120]}")


def requests() -> tuple[list[Any], list[Any]]:
    """Return requests to choose and to generate."""
    from evals import Choose, Generate

    prompts = [(text,) for text in TEXTS] + [(SHARED, text) for text in TEXTS[:4]]
    choices = [Choose(f"c{n}", parts, CHOICES) for n, parts in enumerate(prompts)]
    return choices, [Generate(f"g{n}", parts, NEW_TOKENS) for n, parts in enumerate(prompts)]


@contextmanager
def forced(runs: str) -> Iterator[None]:
    """Read every architecture `in batches` or `row by row`, whatever the table says."""
    from evals.models.decoding.batching import batch_rules

    original = batch_rules.batch_rule
    batch_rules.batch_rule = lambda config: batch_rules.BatchRule(runs, "forced")
    try:
        yield
    finally:
        batch_rules.batch_rule = original


def load(folder: Path, runs: str) -> Any:
    """Load a checkpoint that is read `in batches` or `row by row`."""
    from evals.models.families import causal
    from evals.schema import Placement

    with forced(runs):
        return causal.load("tiny", str(folder), Placement("cpu"))


def largest_difference(reference: Mapping[str, Any], predictions: Mapping[str, Any]) -> float:
    """Return the largest difference of two sets of predictions; infinite where a text or a failure differs."""
    differences = [0.0]
    for id, expected in reference.items():
        prediction = predictions[id]
        if (expected.output, expected.failure) != (prediction.output, prediction.failure) and not expected.scores:
            differences.append(float("inf"))
        pairs = zip(expected.scores or (), prediction.scores or (), strict=True)
        differences += [abs(a - b) for a, b in pairs]
    return max(differences)


def plain_scores(model: Any, prompt: Any) -> list[float]:
    """Score continuations with one forward pass each, without a mask, a cache or positions."""
    import torch

    scores = []
    for tokens in prompt.continuations:
        reset_rotary(model)
        with torch.inference_mode():
            if model.config.is_encoder_decoder:
                decoder = [[model.config.decoder_start_token_id, *tokens[:-1]]]
                logits = model(input_ids=torch.tensor([prompt.tokens]), decoder_input_ids=torch.tensor(decoder)).logits
            else:
                logits = model(input_ids=torch.tensor([[*prompt.tokens, *tokens[:-1]]]), use_cache=False).logits
        rows = logits[0, -len(tokens) :].log_softmax(-1)
        scores.append(float(rows[range(len(tokens)), list(tokens)].sum()))
    return scores


def plain_tokens(model: Any, prompt: Any, ends: Sequence[int]) -> list[int]:
    """Generate greedily with one forward pass per token over the whole text."""
    import torch

    new: list[int] = []
    seq2seq = model.config.is_encoder_decoder
    while len(new) < NEW_TOKENS:
        reset_rotary(model)
        with torch.inference_mode():
            if seq2seq:
                decoder = torch.tensor([[model.config.decoder_start_token_id, *new]])
                logits = model(input_ids=torch.tensor([prompt.tokens]), decoder_input_ids=decoder).logits
            else:
                logits = model(input_ids=torch.tensor([[*prompt.tokens, *new]]), use_cache=False).logits
        token = int(logits[0, -1].argmax())
        if token in ends:
            break
        new.append(token)
    return new


def reads_later_tokens(model: Any) -> bool:
    """Return whether a decoder's scores of a token depend on the tokens after it."""
    import torch

    if model.config.is_encoder_decoder:
        return False
    ids = torch.arange(5, 17)[None]
    with torch.inference_mode():
        short, long = (model(input_ids=part, use_cache=False).logits[0, 3] for part in (ids[:, :8], ids))
        other = ids.clone()
        other[0, 5:] += 30
        changed = model(input_ids=other, use_cache=False).logits[0, 3]
    return not (torch.allclose(short, long, atol=TOLERANCE) and torch.allclose(long, changed, atol=TOLERANCE))


def padding_sides(model: Any) -> list[Any]:
    """Return the sides on which padding changes the logits of a row."""
    import torch

    ids = torch.arange(5, 17)
    padding = torch.zeros(7, dtype=torch.long)
    reset_rotary(model)
    with torch.inference_mode():
        expected = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)
        differences = {}
        for side, parts in {"left": (padding, ids), "right": (ids, padding)}.items():
            padded = torch.cat(parts)[None]
            mask = torch.cat([torch.full_like(part, int(part is ids)) for part in parts])[None]
            inputs = {"input_ids": padded, "attention_mask": mask}
            if side == "left":  # as the suite does: on the right every model counts positions itself
                inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
            reset_rotary(model)
            logits = model(**inputs, use_cache=False).logits[0]
            rows = logits[7:] if side == "left" else logits[:12]
            differences[side] = float((rows.log_softmax(-1) - expected).abs().max())
    return [side for side, difference in differences.items() if not difference <= TOLERANCE]


def mate_difference(model: Any) -> float:
    """Return how much rows of equal lengths change each other's log-likelihoods."""
    import torch

    rows = torch.stack([torch.arange(5 + 20 * n, 17 + 20 * n) for n in range(6)])
    with torch.inference_mode():
        together = model(input_ids=rows, use_cache=False).logits.log_softmax(-1)
        alone = torch.cat([model(input_ids=row[None], use_cache=False).logits.log_softmax(-1) for row in rows])
    return float((together - alone).abs().max())


def compare(folder: Path) -> ArchitectureRow:
    """Compare a checkpoint's rows in batches with each row alone, and each row alone with plain forward passes.

    Args:
        folder: a checkpoint, as `architecture_checkpoints.save` makes it.
    """
    from evals.errors import InputError

    try:
        model, batched = (load(folder, runs) for runs in ("row by row", "in batches"))
    except InputError as error:
        return not_compared(str(error).replace(f"{folder} ", "")[:90])
    if reads_later_tokens(model.model):
        return ArchitectureRow("refused", LATER_TOKENS)
    choices, texts = requests()
    alone = answers(model, choices, 1), answers(model, texts, 1)
    failures = {prediction.failure for part in alone for prediction in part.values() if prediction.failure}
    if failures:
        return ArchitectureRow("refused", sorted(failures)[0])
    note, wrong = plain_difference(model, alone)
    if wrong:
        return ArchitectureRow("refused", wrong)
    padding = [] if model.model.config.is_encoder_decoder else padding_sides(model.model)
    for budget in BUDGETS:
        scores = largest_difference(alone[0], answers(batched, choices, budget))
        generated = largest_difference(alone[1], answers(batched, texts, budget))
        if max(scores, generated) > TOLERANCE:
            reason = "; ".join(filter(None, (cause(model.model, padding, scores), note)))
            return ArchitectureRow("row by row", reason, padding=padding)
    return ArchitectureRow("in batches", note, padding=padding)


CACHED = "the library's own generation, with a cache, differs from forward passes over the whole text"


def plain_difference(model: Any, alone: tuple[Mapping[str, Any], Mapping[str, Any]]) -> tuple[str, str]:
    """Say how the results of single rows differ from those of plain forward passes.

    Returns:
        A note on the library, and what is wrong with the suite; empty if there is nothing to say.
    """
    choices, texts = requests()
    for request in choices:
        prompt = model.prepare(request)
        pairs = zip(plain_scores(model.model, prompt), alone[0][request.id].scores, strict=True)
        if (off := max(abs(a - b) for a, b in pairs)) > TOLERANCE:
            return "", f"log-likelihoods of a row alone differ by {off:.2g} from a plain forward pass"
    note = ""
    for request in texts:
        prompt, text = model.prepare(request), alone[1][request.id].output
        if model.reader.text(plain_tokens(model.model, prompt, model.facts["end_ids"])) != text:
            note = CACHED
            if model.reader.text(library_tokens(model.model, prompt, model.facts["end_ids"])) != text:
                return "", "the greedy text of a row alone differs from the library's"
    return note, ""


def library_tokens(model: Any, prompt: Any, ends: Sequence[int]) -> list[int]:
    """Generate greedily with the library alone."""
    import torch

    reset_rotary(model)
    ids = torch.tensor([prompt.tokens])
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=2,
        eos_token_id=list(ends),
    )  # fmt: skip
    return [int(token) for token in output[0, 0 if model.config.is_encoder_decoder else ids.shape[1] :]]


def cause(model: Any, padding: Sequence[str], difference: float) -> str:
    """Say what in a batch changes a row."""
    changed = f"log-likelihoods change by up to {difference:.2g}" if difference > TOLERANCE else "greedy texts change"
    if not model.config.is_encoder_decoder and (mates := mate_difference(model)) > TOLERANCE:
        return f"other rows of equal length change its log-likelihoods by up to {mates:.2g}"
    if "left" in padding:
        return f"it reads padding on the {' and '.join(padding)}: {changed}"
    return f"longer rows of the batch change the results of a row: {changed}"
