"""`run --prompts`: which templates are taken, what is written, what is refused, and what `compare` warns of."""

from __future__ import annotations

import json

import pytest
from commands import evals as command
from commands import refused

from evals import records
from evals.app.prompting import templates
from evals.errors import InputError
from evals.records.prompting.summary import read_summary, summary_of
from evals.registry import TASKS
from evals.schema import Options
from evals.tasks import glue_tasks, math
from evals.tasks.formats import glue_prompts, math_prompts, plain_templates

WITH_TEMPLATES = [task for task in TASKS if task.prompts is not None]


@pytest.mark.parametrize("task", WITH_TEMPLATES, ids=lambda task: task.name)
def test_the_templates_of_a_task_are_different_and_have_its_fields(task):
    shipped = task.prompts.shipped()
    assert len(set(shipped)) == len(shipped)
    for template in shipped:
        task.prompts.check(template)
    assert "prompt" in task.supported_options


def test_every_task_of_glue_and_of_math_comes_with_five():
    counts = {task.name: len(task.prompts.shipped()) for task in WITH_TEMPLATES}
    assert {counts[f"glue/{name}"] for name in glue_tasks.TABLE} == {5}
    assert {counts[name] for name in ("math", "math/gsm8k", "math/math", "custom", "boolq", "mmlu")} == {5}


@pytest.mark.parametrize("name", glue_tasks.TABLE)
def test_the_first_template_of_glue_is_its_own_prompt(name):
    fields = {column: f"  Some  {column} {{{{ x }}}}. " for column in glue_tasks.TABLE[name].columns}
    clean = {column: " ".join(text.split()) for column, text in fields.items()}
    assert plain_templates.fill(glue_prompts.templates(name)[0], clean) == glue_tasks.prompt(name, fields)


@pytest.mark.parametrize("form", ["####", "boxed"])
def test_the_first_template_of_math_is_its_own_prompt(form):
    instruction, asked = math_prompts.template(math.INSTRUCTIONS[form], None)
    assert instruction == math.INSTRUCTIONS[form]
    assert plain_templates.fill(asked, {"question": "2?"}) == math.prompt("2?")
    assert math_prompts.stop(math.STOP, asked) == math.STOP


def test_a_template_changes_prompt_and_examples_and_nothing_else():
    task = TASKS.get("glue/rte")
    template = glue_prompts.templates("rte")[1]
    (own,) = task.samples(Options(shots=2, seed=1))[3].requests
    sample = task.samples(Options(shots=2, seed=1, prompt=template))[3]
    (other,) = sample.requests
    assert (own.id, own.choices, sample.target) == (other.id, other.choices, task.samples(Options())[3].target)
    assert all(part.startswith("Text: ") for part in other.parts)
    problem = TASKS.get("math").samples(Options(prompt="Do it.\n\nProblem: {{ question }}\nSolution:"))[0]
    assert problem.requests[0].parts[0] == "Do it.\n\n"
    assert problem.requests[0].stop == ("\n\nQuestion:", "\n\nProblem:")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.txt", "{{ sentence1 }} {{ sentence2 }}\n---\n\nOnly {{ sentence1 }}\n", "a.txt:4"),
        ("b.txt", "{{ sentence1 }} {{ sentence2 }} {{ more }}\n", "b.txt:1"),
        ("c.yaml", "- '{{ sentence1 }} {{ sentence2 }}'\n- |\n  {{ sentence2 }}\n", "c.yaml:2"),
        ("d.txt", "{{ sentence1 }} {{ sentence2 }}\n---\n{{ sentence1 }} {{ sentence2 }}\n", "d.txt:3"),
        ("d2.txt", "{{ sentence1 }} {{ sentence2 }}\n---\n{{ sentence1 }}\n\n{{ sentence2 }}\n", "d2.txt:3"),
        ("e.txt", "{% if 1 %}{{ sentence1 }} {{ sentence2 }}{% endif %}\n", "e.txt:1"),
        ("f.yaml", "- 5\n", "f.yaml:1"),
    ],
)
def test_a_template_that_does_not_fit_is_refused_with_its_line(tmp_path, name, content, place):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=place.replace(".", r"\.")):
        templates.choose(TASKS.get("glue/rte"), f"@{tmp_path / name}")


def test_templates_of_a_file_are_read_as_they_stand(tmp_path):
    (tmp_path / "a.txt").write_text("\nQ: {{ text }}\n\nA:\n\n---\n{{ text }}\n---\n")
    assert templates.choose(TASKS.get("custom"), f"@{tmp_path / 'a.txt'}") == ["Q: {{ text }}\n\nA:", "{{ text }}"]
    (tmp_path / "a.yaml").write_text("- |\n  Q: {{ text }}\n  A:\n- '{{ text }}'\n")
    assert templates.choose(TASKS.get("custom"), f"@{tmp_path / 'a.yaml'}") == ["Q: {{ text }}\nA:", "{{ text }}"]


@pytest.mark.slow
def test_a_run_folder_per_prompt_and_the_summary(tmp_path):
    arguments = ("--model", "r1", "--task", "glue/rte", "--limit", "8", "--device", "cpu")
    done = command("run", *arguments, "--prompts", "3", "--out", tmp_path / "p")
    assert done.returncode == 0, done.stderr
    assert "Over prompts and samples" in done.stdout
    summary = read_summary(tmp_path / "p")
    runs = [records.load(tmp_path / "p" / f"prompt-{number}") for number in (1, 2, 3)]
    assert [entry.value for entry in summary.prompts] == [run.result.metrics["accuracy"].value for run in runs]
    assert [run.manifest.to_dict()["task"].get("prompt") for run in runs] == [None, *glue_prompts.templates("rte")[1:3]]
    assert summary.low <= summary.sample_low <= summary.value <= summary.sample_high <= summary.high
    assert summary_of(runs[1]).to_dict() == summary.to_dict()
    assert all(
        template in (tmp_path / "p" / "prompts.md").read_text() for template in glue_prompts.templates("rte")[:3]
    )
    plain = command("run", *arguments, "--out", tmp_path / "plain")
    assert plain.returncode == 0, plain.stderr
    assert records.load(tmp_path / "plain").manifest.signature == runs[0].manifest.signature
    before = (tmp_path / "p" / "prompt-1" / "samples.jsonl").stat().st_mtime_ns
    command("run", *arguments, "--prompts", "3", "--out", tmp_path / "p")
    assert (tmp_path / "p" / "prompt-1" / "samples.jsonl").stat().st_mtime_ns == before
    values = sorted(range(3), key=lambda number: summary.prompts[number].value)
    close = command("compare", tmp_path / "p" / f"prompt-{values[0] + 1}", tmp_path / "p" / f"prompt-{values[1] + 1}")
    assert "smaller than the spread between prompts of r1: 3 prompts give" in close.stdout
    stated = json.loads((tmp_path / "p" / "prompts.json").read_text())
    stated["prompts"][0]["signature"] = "0"
    (tmp_path / "p" / "prompts.json").write_text(json.dumps(stated))
    assert summary_of(runs[0]) is None


def test_what_has_no_prompts_is_refused(tmp_path):
    def run(task, prompts, *more):
        return command("run", "--model", "r1", "--task", task, "--prompts", prompts, "--out", tmp_path / "x", *more)

    refused(run("glue", "5"), "task 'glue' has no prompt templates", "glue/rte")
    refused(run("math/sums", "5"), "its prompts are fixed")
    refused(run("glue/rte", "9"), "comes with 5")
    refused(run("glue/rte", "1"), "a spread needs 2")
    refused(run("glue/rte", "many"), "--prompts 'many'")
    with pytest.raises(InputError, match="--prompts is for method choose"):
        TASKS.get("glue/rte").samples(Options(method="classify", prompt="{{ sentence1 }} {{ sentence2 }}"))
    refused(run("math", "@/nowhere.txt"), "cannot read /nowhere.txt")
