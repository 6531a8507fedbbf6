"""Properties of the batch plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import Embed
from evals.execution.batching import padding, plan
from evals.schema import Batch, Group, Prompt


def prompt(key, tokens, reserve=0):
    return Prompt(Embed("", ()), key, tuple(tokens), reserve)


@st.composite
def prompts(draw):
    """Prompts in families that really begin alike, as questions about one picture do."""
    found = []
    for key in range(draw(st.integers(1, 8))):
        common = draw(st.lists(st.integers(0, 9), max_size=12))
        for _ in range(draw(st.integers(1, 6))):
            rest = draw(st.lists(st.integers(0, 9), min_size=1, max_size=8))
            found.append(prompt(key, common + rest, reserve=draw(st.integers(0, 5))))
    return draw(st.permutations(found))


def slots(prompts, batch):
    members = [(group.shared, prompts[member]) for group in batch.groups for member in group.members]
    shared = max(shared for shared, _ in members)
    rest = max(len(p.tokens) - s for s, p in members)
    return len(members) * (shared + rest + max(p.reserve for _, p in members))


@given(prompts(), st.integers(1, 400), st.booleans())
def test_every_prompt_has_one_place_and_no_batch_is_over_budget(asked, token_budget, share):
    batches = plan(asked, token_budget, share=share)
    assert sorted(member for batch in batches for member in batch.members) == list(range(len(asked)))
    for batch in batches:
        assert len(batch.members) == 1 or slots(asked, batch) <= token_budget


@given(prompts(), st.integers(1, 400))
def test_groups_begin_with_the_same_tokens_and_leave_each_member_some_of_its_own(asked, token_budget):
    for batch in plan(asked, token_budget):
        for group in batch.groups:
            assert len({asked[member].key for member in group.members}) == 1
            assert len({asked[member].tokens[: group.shared] for member in group.members}) == 1
            assert all(len(asked[member].tokens) > group.shared for member in group.members)


@given(prompts(), st.integers(1, 400), st.booleans())
def test_the_plan_is_a_function_of_the_prompts_and_the_budget(asked, token_budget, share):
    assert plan(asked, token_budget, share=share) == plan(list(asked), token_budget, share=share)


@given(prompts())
def test_the_longest_comes_first(asked):
    batches = plan(asked, 1)
    lengths = [len(asked[b.members[0]].tokens) + asked[b.members[0]].reserve for b in batches]
    assert lengths[0] == max(len(p.tokens) + p.reserve for p in asked)


@given(prompts(), st.integers(1, 400))
def test_padding_counts_what_a_padded_batch_computes(asked, token_budget):
    for batch in plan(asked, token_budget):
        computed, useful = padding(asked, batch)
        assert 0 < useful <= computed
        if len(batch.members) == 1:
            assert useful == computed == len(asked[batch.members[0]].tokens)


def test_questions_about_one_picture_stay_together_when_they_fit():
    asked = [prompt(key, [key] * 10 + [n, key, n]) for n in range(5) for key in range(4)]
    for batch in plan(asked, token_budget=2 * 5 * 13):
        assert [len(group.members) for group in batch.groups] == [5, 5]


def test_a_family_that_exceeds_the_budget_is_cut():
    asked = [prompt("shots", [1] * 20 + [n]) for n in range(100)]
    batches = plan(asked, token_budget=10 * 21)
    assert [len(batch.members) for batch in batches] == [10] * 10
    assert all(batch.groups[0].shared == 20 for batch in batches)


def test_without_sharing_everybody_is_alone():
    asked = [prompt("same", [1, 2, 3]), prompt("same", [1, 2, 4])]
    (batch,) = plan(asked, 100, share=False)
    assert batch == Batch((Group(2, (0,)), Group(2, (1,))))


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="budget of 0 is not positive"):
        plan([prompt(0, [1])], 0)
