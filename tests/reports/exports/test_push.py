"""Pushing results to a model repository: what is refused, merged, shown and sent, against a hub on this machine."""

from __future__ import annotations

import draws
import pytest
import yaml
from commands import refused
from hub_server import serving
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make, manifest, metric

from evals.errors import InputError
from evals.reports.exports import model_card

CARD = """---
license: apache-2.0  # asked the lawyers
# the tags below are ordered by importance
tags: [math,
       'chat']
model-index:
- name: My Model
  results:
  - task:
      type: text-classification
    dataset:
      name: "GLUE sst2"   # measured by a friend
      type: nyu-mll/glue
      config: sst2
      split: validation
    metrics:
    - type: accuracy
      value: 0.5
      verified: true
      verifyToken: abc.def
  # a comment before the widget
widget:
- text: "Hello"
---

# My Model

---
not front matter
---
"""
BOARD = b"name: SST-2\ntasks:\n- {id: sst2_validation, config: sst2, split: validation}\n"


def run(folder, *, name="hf:org/model@0123abc", task="glue/sst2", source="official files", n=872, data=None, **chosen):
    metrics = {"accuracy": metric(0.9, n), "f1": metric(0.8, n)}
    signed = manifest(name=task, split="validation", scale="full", **chosen)
    signed["data"] |= {"source": source, **(data or {})}
    signed["model"] |= {"name": name, "replica": False, "dtype": "float32"}
    return make(folder, metrics=metrics, signed=signed, task=task, n=n, headline="accuracy")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving({"nyu-mll/glue": {"eval.yaml": BOARD}}, monkeypatch, tmp_path / "cache") as server:
        server.models["org/model"] = {"README.md": CARD.encode(), "config.json": b"{}"}
        yield server


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_results_are_shown_sent_and_replaced_and_those_of_others_stay(hub, command, tmp_path):
    whole = run(tmp_path / "whole")
    done = command("push", whole.folder, "hf:org/model", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "2 files to change" in done.stdout
    assert "evaluated commit 0123abc" in done.stdout
    assert not any(line.startswith("-") and not line.startswith("---") for line in done.stdout.splitlines())
    assert not hub.commits
    assert refused(command("push", whole.folder, "hf:org/model"), "nothing is sent")

    done = command("push", whole.folder, "hf:org/model", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"sent: {hub.url}/org/model/commit/1\n")
    card = hub.models["org/model"]["README.md"].decode()
    kept = [line for line in card.splitlines(keepends=True) if line in CARD.splitlines(keepends=True)]
    assert "".join(kept).startswith(CARD.split("  # a comment before")[0])
    assert card.endswith(CARD.partition("  # a comment before")[2])
    name, results = model_index_to_eval_results(front(card)["model-index"])
    assert name == "My Model"
    assert [(each.metric_type, each.metric_value, each.verified) for each in results] == [
        ("accuracy", 0.5, True), ("accuracy", 0.9, None), ("f1", 0.8, None),
    ]  # fmt: skip
    (path,) = (path for path in hub.models["org/model"] if path.startswith(".eval_results/"))
    (entry,) = parse_eval_result_entries(yaml.safe_load(hub.models["org/model"][path]))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("nyu-mll/glue", "sst2_validation", 0.9)
    assert entry.verify_token is None
    assert "model revision 0123abc" in entry.notes

    assert "0 files to change" in command("push", whole.folder, "hf:org/model", "--yes").stdout
    assert len(hub.commits) == 1
    # A later run of the same protocol replaces ours; one with examples stands beside it. Comments of others stay.
    hub.models["org/model"][path] = (
        b"# by hand\n" + hub.models["org/model"][path] + b"- {dataset: {id: a/b, task_id: c}, value: 1}\n"
    )
    again = run(tmp_path / "again", data={"note": "other data, so another signature"})
    shots = run(tmp_path / "shots", shots=5)
    done = command("push", again.folder, shots.folder, "hf:org/model", "--pull-request", "--yes")
    assert done.returncode == 0, done.stderr
    assert "discussions/1" in done.stdout
    assert "create_pr=1" in hub.commits[-1]["query"]
    card = hub.models["org/model"]["README.md"].decode()
    signatures = [
        each.metric_args["signature"] for each in model_index_to_eval_results(front(card)["model-index"])[1][1:]
    ]
    assert signatures == 2 * [again.manifest.signature] + 2 * [shots.manifest.signature]
    text = hub.models["org/model"][path].decode()
    assert text.startswith("# by hand\n")
    assert [entry["value"] for entry in yaml.safe_load(text)] == [0.9, 1]
    assert len([path for path in hub.models["org/model"] if path.startswith(".eval_results/")]) == 2


@pytest.mark.parametrize(
    ("values", "options", "written", "words"),
    [
        (None, (), 0.9, "as a fraction: its values show no unit"),
        ([0.3, 0.9, 71], (), 0.9, "as a fraction: most of its 3 values are"),
        ([88, 74.2, 0.41], (), 90.0, "in percent: most of its 3 values are"),
        ([88], ("--unit", "fraction"), 0.9, "--unit says so"),
        (None, ("--unit", "percent"), 90.0, "--unit says so"),
    ],
)
def test_an_entry_is_in_the_unit_of_its_leaderboard(values, options, written, words, hub, command, tmp_path):
    if values is not None:
        hub.leaderboards["nyu-mll/glue"] = values
    whole = run(tmp_path / "whole")
    done = command("push", whole.folder, "hf:org/model", "--yes", *options)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    (path,) = (path for path in hub.models["org/model"] if path.startswith(".eval_results/"))
    (entry,) = yaml.safe_load(hub.models["org/model"][path])
    assert entry["value"] == written
    assert ("in percent" in entry["notes"]) == (written == 90.0)
    assert (
        front(hub.models["org/model"]["README.md"].decode())["model-index"][0]["results"][1]["metrics"][0]["value"]
        == 0.9
    )
    command("push", whole.folder, "hf:org/model", "--yes", "--unit", "percent")  # takes the earlier one's place
    (entry,) = yaml.safe_load(hub.models["org/model"][path])
    assert entry["value"] == 90.0


def test_what_is_no_result_of_the_public_model_is_refused(hub, command, tmp_path):
    mini = make(tmp_path / "mini")
    assert refused(command("push", mini.folder, "hf:org/model", "--yes"), "bundled replica")
    cases = {
        "its data are bundled": {"source": "bundled"},
        "blind control": {"blind": True},
        "part of the split": {"n": 100},
        "not of org/model": {"name": "hf:org/other"},
        "no data set of the hub is known": {"task": "retrieval"},
    }
    for index, (words, changes) in enumerate(cases.items()):
        record = run(tmp_path / f"run{index}", **changes)
        assert refused(command("push", record.folder, "hf:org/model", "--yes"), words)
    (record.folder / "result.json").unlink()
    assert refused(command("push", record.folder, "hf:org/model"), "not finished")
    other = run(tmp_path / "local", name="./folder")
    assert refused(command("push", other.folder, "hf:org/model"), "--same-model")
    assert command("push", other.folder, "hf:org/model", "--same-model", "--dry-run").returncode == 0
    assert refused(command("push", other.folder, "org/model"), "expected hf:ORG/NAME")
    assert refused(command("push", other.folder, other.folder, "hf:org/model", "--same-model"), "one benchmark")
    assert refused(command("push", other.folder, "hf:org/model", "--yes", "--dry-run"), "give only one")
    assert not hub.commits


def test_a_data_set_that_is_no_benchmark_gets_the_card_only(hub, command, tmp_path):
    hub.repositories["nyu-mll/glue"] = {"README.md": b""}
    hub.models["org/model"] = {"config.json": b"{}"}
    done = command("push", run(tmp_path / "whole").folder, "hf:org/model", "--yes")
    assert done.returncode == 0, done.stderr
    assert "no registered benchmark of the hub" in done.stdout
    assert set(hub.models["org/model"]) == {"config.json", "README.md"}
    assert front(hub.models["org/model"]["README.md"].decode())["model-index"][0]["name"] == "model"


def test_a_card_of_several_models_takes_the_results_at_its_own_or_the_chosen_one(hub, command, tmp_path):
    """As the Trainer writes an entry; comments, `no` and the quotes stay."""
    entries = "- name: {}\n  results: []  # none yet\n- name: '{}'\n  results:\n  - {{task: no}}\n"
    card = "---\nlicense: no\nmodel-index:\n" + entries + "---\n"
    whole = run(tmp_path / "whole")
    hub.models["org/model"]["README.md"] = card.format("small", "other").encode()
    done = command("push", whole.folder, "hf:org/model", "--dry-run")
    assert refused(done, "2 models, 'small', 'other'", "none is named 'org/model' or 'model'", "--entry NAME")
    done = command("push", whole.folder, "hf:org/model", "--dry-run", "--entry", "smal")
    assert refused(done, "--entry 'smal'", "it has 'small', 'other'")
    done = command("push", whole.folder, "hf:org/model", "--dry-run", "--entry", "small")
    assert "-  results: []  # none yet\n+  results:  # none yet\n+  - task:\n" in done.stdout
    for name in ("model", "org/model"):
        hub.models["org/model"]["README.md"] = card.format("small", name).encode()
        done = command("push", whole.folder, "hf:org/model", "--dry-run")
        assert "   - {task: no}\n+  - task:\n" in done.stdout
        assert not [line for line in done.stdout.splitlines() if line.startswith("-") and line[:4] != "--- "]
    hub.models["org/model"]["README.md"] = card.format("model", "model").encode()
    assert refused(command("push", whole.folder, "hf:org/model", "--dry-run"), "several models", "'model'")


@pytest.mark.parametrize(
    ("word", "status", "code", "words"),
    [
        ("api/models", 401, 2, "or it is private: log in"),
        ("preupload", 403, 2, "--pull-request"),
        ("/commit/", 400, 2, "Bad request for commit endpoint: no"),
        ("/commit/", 412, 2, "has changed since it was read"),
        ("/commit/", "cut", 1, "whether it was made is not known"),
        ("/commit/", "cut afterwards", 1, "whether it was made is not known"),
        ("/commit/", 500, 1, "whether it was made is not known"),
        ("/resolve/", "cut", 2, "cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_one_line(word, status, code, words, hub, command, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's library tries again
    whole = run(tmp_path / "whole")
    hub.fails[word] = status
    done = command("push", whole.folder, "hf:org/model", "--yes", HF_TOKEN="hf_secret")
    assert done.returncode == code, done.stderr
    assert words in done.stderr.strip().splitlines()[-1]
    assert "hf_secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    hub.fails.clear()
    done = command("push", whole.folder, "hf:org/model", "--yes")
    assert done.returncode == 0
    assert len(hub.commits) == 1  # nothing is sent twice


KEYS = st.text("abc:#-'\" é", min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab:#-\n'\"| é", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
RESULTS = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 3), "more": VALUES}), max_size=4, unique_by=lambda r: r["id"]
)


def same_id(new, present):
    return isinstance(present, dict) and present.get("id") == new["id"]


def fronted(results, name="m"):
    return {"model-index": [{"name": name, "results": results}]}


@draws.examples(25, 2000)
@given(
    RESULTS, RESULTS, st.dictionaries(KEYS, VALUES, max_size=3), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([None, False, True]),
)  # fmt: skip
def test_merging_changes_nothing_else(present, new, others, first, newline, flow):
    index = fronted(present)
    value = {**others, **index} if first else {**index, **others}
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=flow)
    card = f"---\n# a comment\n{text}# at the end\n---\nbody\n".replace("\n", newline)
    merged = model_card.merge_card(card, new, ["x"], same_id)
    expected = [next((item for item in new if same_id(item, old)), old) for old in present]
    expected += [item for item in new if not any(same_id(item, old) for old in present)]
    front = merged.partition(f"{newline}---{newline}")[0].removeprefix(f"---{newline}") + newline
    assert yaml.safe_load(front) == {**value, **fronted(expected)}
    assert front.startswith(f"# a comment{newline}")
    assert front.endswith(f"# at the end{newline}")
    assert merged.endswith(f"---{newline}body{newline}")
    assert newline == "\n" or "\n" not in merged.replace("\r\n", "")
    assert model_card.merge_card(merged, new, ["x"], same_id) == merged
    if not new:
        assert merged == card


BEFORE = [
    "", "license: no  # not yes\n", "# a comment - with: marks\nx: &a [1, 0o7, 1e3]\ny: *a\n", "é: 🙂\n",
    "text: |\n  a\n\n  # b\n\n", "t: 'a\n  b'\n", "\"quoted\": {a: 1,  b: ~}\n", "date: 2024-01-01\n\n\n",
]  # fmt: skip
EMPTY = ["model-index:{}\n", "model-index:{}  # none yet\n", "model-index: [ {} ]\n"]
ENTRIES = [
    "model-index:\n- name: {q}m{q}  # the model\n  results:{e}\n",
    "model-index:\n  # c\n  -  results:{e}\n     name: {q}m{q}\n",
    "model-index:\n- &b\n  name: {q}m{q}\n  more: no\n  results:{e}\n",
    "model-index: [{{name: {q}m{q}, results:{e}}}]  # in a line\n",
    "model-index: [\n  {{name: {q}m{q},   # c\n   results:{e}}}\n  ]\n",
    "model-index:\n- {{ results:{e}, name: {q}m{q} }}\n",
]
HELD = ["", " ~", " []", " [ ]  ", " [{id: 1, b: no}]", " [ {id: 1},\n   {id: 2} ]", " [{id: 1, u: [*z]}]"]
BLOCKS = [
    "model-index:\n- name: m\n  results:\n  - id: 1  # - a dash\n    b: no\n  # below\n",
    "model-index:\n- name: m\n  results:\n     - # - before\n       id: 1\n       b: |+\n        c\n\n     - id: 2\n\n",
    "model-index:\n-\n  results:\n  - {id: 1, b: 1.0}   # c\n  - id: 2\n  name: m\n  more: *z\n",
    "model-index:\n- name: m\n  results: &r\n  - &i\n    id: 1\n    b: [1,\n      2]\n    # inside\n",
    "? model-index\n: - name: m\n    results:\n    - id: 1\n",
]
INDEXES = [
    *[text.format(held) for text in EMPTY for held in ("", " ~", " []") if "[" not in text or not held],
    *[text.format(e=held, q=quote) for text in ENTRIES for held in HELD for quote in ("", "'")],
    *BLOCKS, "",
]  # fmt: skip


@draws.examples(60, 10_000)
@given(
    st.sampled_from(["", "\ufeff"]), st.sampled_from(BEFORE), st.sampled_from(INDEXES), st.sampled_from(BEFORE),
    st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
def test_no_other_character_changes(mark, before, index, after, newline, replacing):
    front = f"z: &z yes\n{before}{index}{after.replace('a', 'z')}".replace("\n", newline)
    card = f"{mark}---{newline}{front}---{newline}# Body --- \r\n\n"
    try:
        value = yaml.safe_load(front)
    except yaml.YAMLError:
        return  # a name twice, or text that is no YAML in brackets
    new = {"id": 1 if replacing else 9, "more": "no", "texts": ["12e3", "a\nb"]}
    entry = (value.get("model-index") or [{"name": "x"}])[0]
    present = entry.get("results") or []
    merged = model_card.merge_card(card, [new], ["org/x", "x"], same_id)
    kept = [new if same_id(new, old) else old for old in present]
    expected = kept if new in kept else [*kept, new]
    start = len(mark) + 3 + len(newline)
    assert merged.endswith(f"---{newline}# Body --- \r\n\n")
    edited = merged[start : -len(f"---{newline}# Body --- \r\n\n")]
    assert yaml.safe_load(edited) == {**value, "model-index": [{**entry, "results": expected}]}
    if new not in kept:  # all characters are there still, in their order, but an empty list in whose place ours are
        left = iter(edited)
        assert all(character in left for character in front if character not in " []~")
        return
    alike = [next((n for n, (a, b) in enumerate(pairs) if a != b), len(front)) for pairs in (
        list(zip(front, edited, strict=False)), list(zip(front[::-1], edited[::-1], strict=False))
    )]  # fmt: skip
    gone = front[alike[0] : max(alike[0], len(front) - alike[1])]
    assert not any(word in gone for word in ("name", "more", "id: 2", "below", "in a line", "model-index"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a body\n",
        "---\n---\nbody",
        "---\nlicense: mit\n---",
        "---\nmodel-index:\n---\nbody",
        "---\nmodel-index:\n- name: a\n---\n",
        "---\nmodel-index:\n- name: a\n  results: []\n---\n",
        "---\nmodel-index: [{name: a, results: [{id: 1}]}]\n---\n",
        "---\nmodel-index:\n - name: a\n   results:\n      - id: 1\n        # inside\n        b: |\n         c\n---\n",
        "---\nmodel-index:\n- results:\n  - # before\n    id: 7\n  name: a\n---\n",
    ],
)
def test_every_form_of_a_card_takes_a_result(text):
    merged = model_card.merge_card(text, [{"id": 7, "b": [1]}], ["x"], same_id)
    results = yaml.safe_load(merged.split("---")[1])["model-index"][0]["results"]
    assert results[-1] == {"id": 7, "b": [1]}
    assert [result for result in results if result["id"] == 7] == results[-1:]
    assert ("# inside" in text) == ("# inside" in merged)


@pytest.mark.parametrize(
    "text",
    [
        "---\na: [\n---\n",
        "---\nmodel-index: []\nmodel-index: []\n---\n",
        "---\n- a\n---\n",
        "---\nmodel-index: 5\n---\n",
        "---\nmodel-index: [5]\n---\n",
    ],
)
def test_a_card_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError, match="correct it first"):
        model_card.merge_card(text, [{"id": 7}], ["x"], same_id)


@pytest.mark.parametrize(
    "index",
    [
        "a: &r [{id: 1}]\nmodel-index:\n- {name: m, results: *r}\n",
        "model-index:\n- name: m\n  results: &r\n  - id: 1\nb: *r\n",
        "a: &e {name: m, results: [{id: 1}]}\nmodel-index:\n- *e\n",
        "a: &e {results: [{id: 1}]}\nmodel-index:\n- <<: *e\n  name: m\n",
        "model-index:\n- name: m\n  results:\n  - &i {id: 7, b: 1}\n  - {id: 2, c: *i}\n",
    ],
)
def test_results_that_stand_in_several_places_are_refused(index):
    with pytest.raises(InputError, match="anchor"):
        model_card.merge_card(f"---\n{index}---\n", [{"id": 7}], ["x"], same_id)
