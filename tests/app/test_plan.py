"""The command `plan`: what it reads of sets and pilots, what it says of sets that are too small, what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
from choice_runs import scored
from commands import evals as command
from commands import refused

ROWS = 200
"""Samples of the bundled split of RTE."""


def planned(*arguments):
    done = command("plan", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_pilot_each_assumption_has_its_numbers():
    plan = planned("--task", "glue/rte,math/sums", "--detect", "6")
    rte, sums = plan["parts"]
    assert (rte["part"], rte["samples"], sums["part"]) == ("glue/rte", ROWS, "math/sums")
    assert [case["likely"]["discordance"] for case in rte["cases"]] == [0.05, 0.1, 0.2, 0.4]
    assert rte["level"] == pytest.approx(0.975)
    smallest = [case["likely"]["smallest_difference"] for case in rte["cases"]]
    assert smallest == sorted(smallest)
    for case in rte["cases"]:
        assert (case["likely"]["samples_needed"] is None) == (case["likely"]["smallest_difference"] > 0.06)


def test_the_parts_of_a_suite_and_the_subsets_of_a_task_are_parts_of_the_plan():
    suite = planned("--task", "glue", "--detect", "5")["parts"]
    assert {part["part"] for part in suite} >= {"glue/cola", "glue/wnli"}
    assert {part["level"] for part in suite} == {1 - 0.05 / 9}
    whole, *subsets = planned("--task", "vqa", "--detect", "5")["parts"]
    assert (whole["part"], whole["level"], len(subsets)) == ("vqa", 0.95, 3)
    assert {part["level"] for part in subsets} == {1 - 0.05 / 4}
    assert whole["cluster_size"] > 4
    cases = whole["cases"][1]
    assert cases["likely"]["correlation"] == 0
    assert cases["cautious"]["correlation"] == 1


def test_a_pilot_of_two_runs_gives_discordance_and_cost(tmp_path):
    right = [1.0] * 40 + [0.0] * 20
    a = scored(tmp_path / "a", "a", right, cost=[0.01] * 60)
    b = scored(tmp_path / "b", "b", [0.0] * 6 + right[6:], cost=[0.03] * 60)
    plan = planned("--task", "glue/rte", "--detect", "6", a.folder, b.folder)
    (part,) = plan["parts"]
    (case,) = part["cases"]
    assert case["likely"]["discordance"] == pytest.approx(0.1)
    assert case["cautious"]["discordance"] > 0.15
    assert part["cost_per_sample"]["money"] == {"EUR": pytest.approx(0.04)}
    text = command("plan", "--task", "glue/rte", "--detect", "0.5", a.folder, b.folder).stdout
    assert "No number of samples suffices for glue/rte" in text
    assert "What they cost, for both models" in text
    assert "8.00" in text  # all 200 samples at 0.04
    alone = planned("--task", "glue/rte", "--detect", "6", a.folder)["parts"][0]
    assert alone["cost_per_sample"]["money"] == {"EUR": pytest.approx(0.02)}
    assert alone["cases"][0]["likely"]["discordance"] == pytest.approx(0.06)
    assert alone["cases"][0]["cautious"]["discordance"] == pytest.approx(2 / 3 * 0.3933 + 0.6067 / 3, abs=0.01)


def test_a_run_that_is_given_twice_counts_once(tmp_path):
    a = scored(tmp_path / "a", "a", [1.0] * 40 + [0.0] * 20)
    (tmp_path / "link").symlink_to(a.folder)
    for second in (a.folder, tmp_path / "link", tmp_path / "a" / ".." / "a"):
        done = command("plan", "--task", "glue/rte", "--detect", "6", a.folder, second, "--format", "json")
        assert "was given before" in done.stderr, done.stderr
        assert done.returncode == 0
        assert json.loads(done.stdout) == planned("--task", "glue/rte", "--detect", "6", a.folder)
    shutil.copytree(a.folder, tmp_path / "copy")
    refused(command("plan", "--task", "glue/rte", "--detect", "6", a.folder, tmp_path / "copy"), "of one signature")


def test_what_cannot_be_planned_is_refused(tmp_path):
    run = scored(tmp_path / "a", "a", [1.0] * 12)
    refused(command("plan", "--task", "glue/rte", "--detect", "0"), "--detect 0")
    refused(command("plan", "--task", "efficiency", "--detect", "2"), "is timed")
    refused(command("plan", "--task", "glue/rte", "--detect", "2", "--model", "a,b,c"), "3 models")
    refused(command("plan", "--task", "glue/rte", "--detect", "2", "--model", "r1", run.folder), "give only one")
    refused(command("plan", "--task", "glue/cola", "--detect", "2", run.folder), "a run of 'glue/rte'")
    refused(command("plan", "--task", "glue/rte,glue/cola", "--detect", "2", run.folder), "pilot of glue/cola")
    refused(command("plan", "--task", "glue/rte", "--detect", "2", "--pilot", "3"), "--pilot 3")
    refused(command("plan", "--task", "glue/rte", "--detect", "2", "--hourly", "2"), "--hourly")
