"""Apply an adapter (LoRA, IA3, …) to a loaded base model, with peft (extra `adapters`).

The adapter is merged into the base model's weights, so that everything after it runs an ordinary model. An adapter that
cannot be merged, or of which any tensor is missing or has no place in the model, is refused: it is never ignored.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter
from evals.data.json_files import read_json
from evals.errors import InputError, one_line, shorten

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PREFIX = "base_model.model."
"""What peft writes before the name of each tensor of the base model."""
_COPY = re.compile(r"\.(modules_to_save|original_module)\.")
"""Inside the names under which peft saves an embedding again, beside its plain name, if tokens were added."""
_HEADS = ("score", "classifier")
"""Names of the heads of the library's sequence classifiers."""


_PATTERN_SECONDS = 10
"""Time in which the patterns of an adapter must have been matched against the names of the model's modules."""
_MATCH = """
import json, re, sys
patterns, names = json.load(sys.stdin)
for pattern in patterns:
    try:
        tried = re.compile(pattern), re.compile(rf"(.*\\.)?({pattern})$")
    except re.error:
        continue  # peft refuses it, or it is none
    for name in names:
        tried[0].fullmatch(name), tried[1].match(name)
"""
"""As peft matches (peft/utils/other.py, `match_target_against_key` and `get_pattern_key`)."""


def require_peft(adapter: Adapter) -> None:
    """Raise `InputError` if peft is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            f"{adapter.folder} holds an adapter ({adapter.kind}), which needs peft: pip install 'claim-evals[adapters]'"
        )


def saved_shapes(adapter: Adapter) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of an adapter's tensors. Raises `InputError` for a damaged file."""
    from safetensors import safe_open

    path = adapter.folder / ADAPTER_WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
    except Exception as error:  # a damaged file can raise nearly any exception
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error


def head_options(adapter: Adapter | None) -> dict[str, Any]:
    """Return the options that give a base model the classifier head that an adapter brings; empty if it brings none."""
    if adapter is None or adapter.task != "SEQ_CLS":
        return {}
    heads = [
        shape[0]
        for name, shape in saved_shapes(adapter).items()
        if name.removeprefix(_PREFIX).startswith(_HEADS) and name.endswith("weight") and "lora_" not in name
    ]
    return {"num_labels": heads[-1]} if heads else {}


def brought_weights(adapter: Adapter | None) -> set[str]:
    """Return the names of the weights that an adapter holds whole, so that the base model need not have them."""
    return {name.removeprefix(_PREFIX) for name in saved_shapes(adapter)} if adapter is not None else set()


def apply(model: PreTrainedModel, adapter: Adapter) -> PreTrainedModel:
    """Merge an adapter into a loaded base model.

    Args:
        model: the base model; it is changed.
        adapter: the adapter.

    Returns:
        The model with the adapter's change in its weights, of the base model's class.

    Raises:
        InputError: peft is not installed, the adapter is no change of weights (prompt tuning, …), it does not fit the
            model, or it cannot be merged.
    """
    require_peft(adapter)
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    what = f"{adapter.folder} holds an adapter ({adapter.kind}) that cannot be applied"
    shapes = saved_shapes(adapter)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is missing is compared below, tensor by tensor
            _check_patterns(adapter, [name for name, _ in model.named_modules()])
            config = PeftConfig.from_pretrained(str(adapter.folder))
            if config.is_prompt_learning:
                raise InputError(f"{what}: it adds trained prompts or prefixes, and only changes of weights are merged")
            _fit_vocabulary(model, shapes)
            _untie(model, shapes, getattr(config, "ensure_weight_tying", False), what)
            config.inference_mode = True
            wrapped = PeftModel.from_pretrained(model, str(adapter.folder), config=config, local_files_only=True)
            expected = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
            _check_complete(what, shapes, set(expected), set(wrapped.state_dict()))
            merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except InputError:
        raise
    except Exception as error:  # peft can raise nearly any exception for an adapter that does not fit
        raise InputError(f"{what}: {one_line(error)}") from error
    return merged


def _check_patterns(adapter: Adapter, names: Sequence[str]) -> None:
    """Refuse an adapter with a regular expression that takes for ever, tried in a process that can be ended."""
    path = adapter.folder / ADAPTER_CONFIG
    patterns = [text for text in _texts(read_json(path, dict[str, Any])) if re.search(r"[*+{]", text)]
    if not patterns:
        return
    command = [sys.executable, "-I", "-c", _MATCH]
    try:
        subprocess.run(
            command, input=json.dumps([patterns, names]), text=True, capture_output=True, timeout=_PATTERN_SECONDS,
            check=False,  # what is no regular expression peft refuses
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        longest = shorten(max(patterns, key=len))
        raise InputError(
            f"{path}: its patterns, such as {longest}, take over {_PATTERN_SECONDS} seconds to match the modules"
        ) from error


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value of JSON, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield key
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _check_complete(what: str, shapes: Mapping[str, Any], expected: set[str], placed: set[str]) -> None:
    """Refuse an adapter with tensors that are missing, or that have no place in the model."""
    if missing := sorted(expected - shapes.keys()):
        raise InputError(f"{what}: its weights lack {len(missing)} tensors, the first being {missing[0]}")
    copies = {name for name in shapes if _COPY.sub(".", name) in expected}
    if unplaced := sorted(shapes.keys() - expected - placed - copies):
        raise InputError(f"{what}: the model has no place for {len(unplaced)} tensors, the first being {unplaced[0]}")


def _fit_vocabulary(model: PreTrainedModel, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Resize the embedding to the one that the adapter brings (training with added tokens saves it whole)."""
    embedding = model.get_input_embeddings()
    name = next((name for name, module in model.named_modules() if module is embedding), None)
    stored = (f"{_PREFIX}{name}.weight", f"{_PREFIX}{name}.base_layer.weight")
    rows = next((shapes[key][0] for key in stored if key in shapes), None)
    if rows is not None and rows != embedding.weight.shape[0]:
        model.resize_token_embeddings(rows, mean_resizing=False)


def _untie(model: PreTrainedModel, shapes: Mapping[str, Any], keeps_tie: bool, what: str) -> None:
    """Give the output layer its own copy of the embedding, if only one of the two is changed by the adapter."""
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or embedding is None or head.weight is not embedding.weight:
        return
    names = [f"{_PREFIX}{name}." for name, module in model.named_modules() if module is embedding or module is head]
    if any(shape_name.startswith(tuple(names)) for shape_name in shapes):
        if keeps_tie:
            raise InputError(f"{what}: it changes tied embeddings together (ensure_weight_tying), which is not merged")
        head.weight = torch.nn.Parameter(embedding.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False
