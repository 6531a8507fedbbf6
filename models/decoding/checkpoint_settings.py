"""What a checkpoint says about generation: which tokens end a text, its own sampling, and what it needs to speak.

All of it is read from the files, because the library fills in defaults of its classes that the checkpoint never stated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import model_folder
from evals.data.json_files import read_json
from evals.errors import InputError
from evals.models.decoding.sampling import SamplingSettings, requested_settings
from evals.models.decoding.thoughts import MARK, TagPair, mentioned_pairs, surrounding_pair
from evals.schema import Generate, Json

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

RenderChat = Callable[[Sequence[Mapping[str, Json]], bool], str | None]
"""Renders messages with a chat template, with or without the beginning of an answer after them; None if the template
refuses the messages."""
_ASKS: Mapping[str, Json] = {"role": "user", "content": "A question 1."}

_NEEDED = ("decoder_start_token_id", "forced_bos_token_id", "bos_token_id")
"""Entries of a generation config without which some models do not speak: mBART, M2M100 and NLLB begin with a language
token (`forced_bos_token_id`)."""
_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty")
_NEUTRAL: Mapping[str, tuple[Json, ...]] = {
    "typical_p": (None, 1.0),
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
    "num_beams": (None, 1),
    "penalty_alpha": (None, 0),
    "no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "bad_words_ids": (None,),
    "sequence_bias": (None,),
    "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []),
    "guidance_scale": (None, 1, 1.0),
    "exponential_decay_length_penalty": (None,),
}
"""Sampling settings of the library that `--generation checkpoint` cannot apply, each with the values without effect."""
_DEFAULT_TOP_K = 50
"""The library's default `top_k` of a checkpoint that samples (`GenerationConfig._get_default_generation_params`)."""


def end_ids(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, render: RenderChat | None = None
) -> list[int]:
    """Return the ids of the tokens that end a text, whichever file of the checkpoint names them.

    They are the end tokens of the tokenizer, of `generation_config.json` and of `config.json`, and the special token
    that the chat template writes after an assistant's message.

    Args:
        folder: the checkpoint.
        model: the loaded model.
        tokenizer: its tokenizer.
        render: renders a conversation with the chat template; None without a template.

    Returns:
        The ids in ascending order, without those that are not in the model's vocabulary.
    """
    config = _stated(folder, "config.json")
    ids = {tokenizer.eos_token_id, *_ids(_stated(folder, "generation_config.json")), *_ids(config)}
    for part in ("text_config", "llm_config", "decoder"):
        nested = config.get(part)
        ids |= set(_ids(nested)) if isinstance(nested, dict) else set()
    ids.add(_end_of_turn(tokenizer, render) if render else None)
    size = model.config.get_text_config().vocab_size
    return sorted(id for id in ids if isinstance(id, int) and not isinstance(id, bool) and 0 <= id < size)


def thought_tags(
    template: str | None, tokenizer: PreTrainedTokenizerBase, render: RenderChat | None = None
) -> tuple[TagPair, ...]:
    """Return the tags of thoughts that a checkpoint states: in its chat template or its vocabulary.

    Args:
        template: the text of the chat template.
        tokenizer: its tokenizer.
        render: renders a conversation with the template.
    """
    pairs: list[TagPair | None] = []
    if render is not None and template is not None:
        for key in ("reasoning_content", "thinking", "reasoning", "thought"):
            if key in template:
                message = {"role": "assistant", "content": "An answer 1.", key: "A thought 1."}
                rendered = render([_ASKS, message], False)
                pairs.append(surrounding_pair(rendered or "", "A thought 1.", "An answer 1."))
    pairs += mentioned_pairs(template, tokenizer.get_vocab().keys())
    return tuple(dict.fromkeys(pair for pair in pairs if pair is not None))


def needed_config(folder: Path) -> GenerationConfig | None:
    """Return what a model needs to speak from `generation_config.json`, to load it with; None without that file.

    The library refuses to load a model whose file has settings that do not fit together (`num_return_sequences`), and
    nothing else of the file is used.

    Args:
        folder: the checkpoint.
    """
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").is_file():
        return None
    stated = _stated(folder, "generation_config.json")
    return GenerationConfig(**{name: stated[name] for name in _NEEDED if name in stated})


def library_config(model: PreTrainedModel) -> GenerationConfig:
    """Make a generation config for the library's own loop that has nothing of the checkpoint's but what it needs.

    Penalties, forbidden tokens, beams, time limits and the like would change greedy outputs, or end in an error.
    """
    from transformers import GenerationConfig

    stated = model.generation_config
    needed = {name: getattr(stated, name, None) for name in _NEEDED}
    if needed["decoder_start_token_id"] is None:
        needed["decoder_start_token_id"] = getattr(model.config, "decoder_start_token_id", None)
    return GenerationConfig(**needed, do_sample=False, num_beams=1, pad_token_id=0, use_cache=True)


def sampling_settings(request: Generate, folder: Path) -> SamplingSettings:
    """Return how the tokens of a request are drawn: as it says, or as the checkpoint does. Raises `InputError`."""
    return own_sampling(folder) if request.sampling == "checkpoint" else requested_settings(request)


def sampling_facts(folder: Path) -> dict[str, Json]:
    """Return the sampling settings that `generation_config.json` states, for the manifest."""
    stated = _stated(folder, "generation_config.json")
    return {name: stated[name] for name in _SAMPLING if stated.get(name) is not None}


def own_sampling(folder: Path) -> SamplingSettings:
    """Return the sampling settings of `generation_config.json`, for `--generation checkpoint`.

    Raises:
        InputError: the file has a setting that cannot be applied here, or a value that is no number.
    """
    path = folder / "generation_config.json"
    stated = _stated(folder, "generation_config.json")
    for name, neutral in _NEUTRAL.items():
        if stated.get(name) not in neutral:
            raise InputError(f"{path} sets {name}, which --generation checkpoint cannot apply; leave the option out")
    penalty = float(_number(path, stated, "repetition_penalty", 1.0))
    if not stated.get("do_sample"):
        return SamplingSettings(repetition_penalty=penalty)
    top_k = int(_number(path, stated, "top_k", _DEFAULT_TOP_K))
    return SamplingSettings(
        temperature=float(_number(path, stated, "temperature", 1.0)),
        top_k=top_k or None,
        top_p=float(_number(path, stated, "top_p", 1.0)),
        min_p=float(_number(path, stated, "min_p", 0.0)),
        repetition_penalty=penalty,
    )


def _number(path: Path, stated: Mapping[str, Json], name: str, default: float) -> float:
    value = stated.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InputError(f"{path}: {name} is {value!r}, expected a number of 0 or more")
    return value


def _stated(folder: Path, name: str) -> dict[str, Any]:
    """Read a file of a checkpoint, or of the model that an adapter changes; empty if there is none."""
    paths = [path / name for path in (folder, model_folder(folder))]
    return next((read_json(path, dict[str, Json]) for path in paths if path.is_file()), {})


def _ids(stated: Mapping[str, Any]) -> Iterator[int]:
    """Yield the end tokens that a configuration states, alone or as a list."""
    ends = stated.get("eos_token_id")
    yield from (id for id in (ends if isinstance(ends, list) else [ends]) if isinstance(id, int))


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, render: RenderChat) -> int | None:
    """Return the special token that follows an assistant's message in the chat template, or None.

    Some templates write nothing after a message, because the first token of the next message ends it (GLM-4.5 ends at
    `<|user|>`). A template that ignores `add_generation_prompt` may write the beginning of an answer after every
    message. In both cases, what ends a message is seen between two messages.
    """
    answer = "An answer 1."
    last: list[Mapping[str, Json]] = [_ASKS, {"role": "assistant", "content": answer}]
    writes_answers = render([_ASKS], True) == render([_ASKS], False)
    for messages in ([*last, _ASKS],) if writes_answers else (last, [*last, _ASKS]):
        _, present, after = (render(messages, False) or "").rpartition(answer)
        if not present:
            return None
        if after.strip():
            return _first_special(tokenizer, after.lstrip())
    return None


def _first_special(tokenizer: PreTrainedTokenizerBase, text: str) -> int | None:
    """Return the token that a text begins with, if it is a special one or written as one."""
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"][:1]
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    if tokens and tokens[0] in special - {tokenizer.unk_token_id}:
        return int(tokens[0])
    mark = re.match(MARK, text)  # a token of the vocabulary that was not declared special, but is written as one
    id = tokenizer.get_vocab().get(mark[0]) if mark else None
    return id if id is not None and tokens == [id] and id != tokenizer.unk_token_id else None
