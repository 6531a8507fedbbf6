"""A real checkpoint behind the tests' server, as the library alone runs it: chats, completions, log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plain_models
import torch
from servers import Call, FakeServer, Reply, chat, error


def served(folder: Path) -> FakeServer:
    """A server of a language model's folder; a chat needs a chat template there."""
    return FakeServer(ServedModel(folder))


class ServedModel:
    """Answers as vLLM does: the text ends before a stop string, special tokens are left out, nothing is stripped."""

    def __init__(self, folder: Path) -> None:
        self.plain = plain_models.Decoder(folder)

    def __call__(self, call: Call) -> Reply:
        tokenizer = self.plain.tokenizer
        if call.path.endswith("/chat/completions"):
            if tokenizer.chat_template is None:
                return error(400, "the model has no chat template")
            tokens = tokenizer.apply_chat_template(call.body["messages"], add_generation_prompt=True, return_dict=False)
            text, ended = self._written(tokens, call.body)
            return chat(text, ended=ended, usage=self._usage(tokens))
        if not call.path.endswith("/completions"):
            return error(404, "no such path")
        if call.body.get("echo"):
            return self._echoed(call.body["prompt"])
        tokens = tokenizer(call.body["prompt"])["input_ids"]
        text, ended = self._written(tokens, call.body)
        return self._reply([{"index": 0, "text": text, "finish_reason": ended}], self._usage(tokens))

    @torch.inference_mode()
    def _written(self, tokens: Sequence[int], body: dict[str, Any]) -> tuple[str, str]:
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        output = self.plain.model.generate(
            input_ids=torch.tensor([list(tokens)]), max_new_tokens=limit, do_sample=False,
            pad_token_id=self.plain.tokenizer.pad_token_id,
        )  # fmt: skip
        new = output[0, len(tokens) :].tolist()
        text = self.plain.text(new)
        stops = [text.find(stop) for stop in body.get("stop", ()) if stop in text]
        cut = len(new) == limit and new[-1] != self.plain.tokenizer.eos_token_id
        return text[: min(stops, default=len(text))], "length" if cut and not stops else "stop"

    @torch.inference_mode()
    def _echoed(self, prompts: Sequence[str]) -> Reply:
        """The log-probability of every token of the prompts after the first, without a new token."""
        choices, read = [], 0
        for index, prompt in enumerate(prompts):
            tokens = self.plain.tokenizer(prompt)["input_ids"]
            logits = self.plain.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
            values = [None, *(float(logits[n, token]) for n, token in enumerate(tokens[1:]))]
            texts = [self.plain.tokenizer.decode([token]) for token in tokens]
            choices.append(
                {"index": index, "text": prompt, "finish_reason": "length",
                 "logprobs": {"tokens": texts, "token_logprobs": values}}
            )  # fmt: skip
            read += len(tokens)
        return self._reply(choices, {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read})

    def _usage(self, tokens: Sequence[int]) -> dict[str, int]:
        return {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}

    def _reply(self, choices: list[dict[str, Any]], usage: dict[str, int]) -> Reply:
        return Reply({"id": "c", "object": "text_completion", "model": "m", "choices": choices, "usage": usage})
