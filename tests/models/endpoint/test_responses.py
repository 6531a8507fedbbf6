"""What a server's answer says in a wrong number or form is refused or reported as unknown, never taken.

pytest tests/models/endpoint/test_responses.py
"""

from __future__ import annotations

import pytest

from evals.models.endpoint.responses import (
    MalformedError,
    decoded,
    read_chat,
    read_embedding,
    read_prompt_logprobs,
    read_usage,
)


def reply(*texts, **more):
    choices = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in enumerate(texts)]
    return {"choices": choices, **more}


def test_one_choice_is_expected():
    assert read_chat(reply("yes")).text == "yes"
    with pytest.raises(MalformedError, match="2 choices where one was asked for"):
        read_chat(reply("no", "yes"))
    with pytest.raises(MalformedError, match="2 data where one was asked for"):
        read_embedding({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]})


def test_a_text_that_the_server_broke_off_is_no_answer():
    def ended(reason):
        body = reply("The answer is 18 because")
        body["choices"][0]["finish_reason"] = reason
        return read_chat(body)

    for reason in ("stop", None, "eos_token", "STOP", "tool_calls"):
        assert not ended(reason).truncated
    for reason in ("length", "max_tokens", "MAX_TOKENS", "model_length"):
        assert ended(reason).truncated
    for reason in ("abort", "error", "insufficient_system_resource", "content_filter", "", 3):
        with pytest.raises(MalformedError):
            ended(reason)


@pytest.mark.parametrize("count", [None, "12", 3.5, True, [1], -1, 10**400])
def test_a_count_that_is_none_is_unknown_and_not_0(count):
    assert read_usage(reply("yes", usage={"prompt_tokens": 5, "completion_tokens": 2})).reported
    assert not read_usage(reply("yes", usage={"prompt_tokens": count, "completion_tokens": 2})).reported
    assert not read_usage(reply("yes", usage={"prompt_tokens": 5, "completion_tokens": count})).reported
    assert not read_usage(reply("yes", usage=count)).reported
    assert read_usage({"data": [], "usage": {"prompt_tokens": 5}}).reported  # embeddings have no new tokens


def echoed(values, prompt_tokens):
    logprobs = {"tokens": ["a"] * len(values), "token_logprobs": values}
    return {"choices": [{"index": 0, "logprobs": logprobs}], "usage": {"prompt_tokens": prompt_tokens}}


def test_log_probabilities_that_cannot_be_are_refused():
    assert len(read_prompt_logprobs(echoed([None, -1.0, -2.0], 3), ["aaa"])[0]) == 3
    assert len(read_prompt_logprobs(echoed([None, -1.0, -2.0, -3.0], 3), ["aaa"])[0]) == 3  # the last token is new
    with pytest.raises(MalformedError, match="above 0"):
        read_prompt_logprobs(echoed([None, -1.0, 0.5], 3), ["aaa"])
    with pytest.raises(MalformedError, match="5 tokens where the prompts have 3 and 1 are new"):
        read_prompt_logprobs(echoed([None, -1.0, -2.0, -3.0, -4.0], 3), ["aaa"])


def test_what_no_answer_holds_is_invalid():
    for number in (1e39, -3.5e38, 3.4028235677973366e38):
        with pytest.raises(MalformedError, match="finite numbers"):
            read_embedding({"data": [{"embedding": [0.5, number]}]})
    assert read_embedding({"data": [{"embedding": [3.4028235e38, -1e-50]}]}) == [3.4028235e38, -1e-50]
    with pytest.raises(MalformedError, match="a text of 4,000,001 characters; at most 4,000,000"):
        decoded(b'{"choices": [{"text": "' + b"x" * 4_000_001 + b'"}]}')
