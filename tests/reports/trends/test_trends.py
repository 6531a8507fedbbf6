"""Trends: values that left their intervals are named and compared, and equal days show no change."""

from __future__ import annotations

import pytest
from commands import evals as command
from commands import refused
from run_folders import HOSTILE, Outline, make, manifest, metric, result, row

from evals import records
from evals.errors import InputError
from evals.reports.trends import page as trend_page
from evals.reports.trends import series

N = 200


def day(tmp_path, name, share, *, model="vl", rate=40.0, blind=False, n=N, code="44aa"):
    """A folder of a day with one run; the first `share` of its samples are right."""
    rows = [row(str(10 + k), float(k < share * n)) for k in range(n)]
    signed = manifest(blind=blind)
    signed["model"] |= {"name": model}
    signed["code"] = {"digest": code}
    speed = result({})["efficiency"] | {"samples_per_second": rate}
    make(tmp_path / name / f"{model}-vqa{'-blind' if blind else ''}", rows, {"accuracy": metric(share, n)}, signed,
         efficiency=speed)  # fmt: skip
    return tmp_path / name


def days(*folders):
    return [series.read(folder) for folder in folders]


def test_the_same_runs_twice_show_no_change(tmp_path):
    folder = day(tmp_path, "2026-11-23", 0.8)
    days_read = days(folder, folder)
    assert series.changes(days_read) == []
    assert "Nothing." in trend_page.render(days_read, "md")
    done = command("trends", folder, folder, "--strict")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_left_its_interval_is_named_and_compared(tmp_path):
    first, second = day(tmp_path, "2026-11-23", 0.8), day(tmp_path, "2026-11-24", 0.7, code="55bb")
    (line,) = series.changes(days(first, second))
    assert line.startswith(
        "vl on vqa validation: accuracy 70.00 % lies outside 75.0 to 85.0 %, its interval of 2026-11-23 (80.00 %); "
        "difference -10.00 points ("
    )
    assert "p = 0.0025 on 200 shared samples; what differs: code.digest: this suite's own code" in line
    strict = command("trends", first, second, "--strict")
    assert strict.returncode == 1
    assert "accuracy 70.00 % lies outside 75.0 to 85.0 %" in strict.stderr
    assert command("trends", first, second).returncode == 0


@pytest.mark.parametrize(("share", "changed"), [(0.84, False), (0.86, True), (0.75, False), (0.74, True)])
def test_a_change_is_a_value_outside_the_interval_it_had(tmp_path, share, changed):
    days_read = days(day(tmp_path, "1", 0.8), day(tmp_path, "2", share))
    assert bool(series.changes(days_read)) == changed
    assert [point.changed for point in series.trends(days_read)[0].points] == [False, changed]


def test_times_are_shown_and_not_judged(tmp_path):
    days_read = days(day(tmp_path, "1", 0.8, rate=40.0), day(tmp_path, "2", 0.8, rate=4.0))
    assert series.changes(days_read) == []
    assert [point.rate for point in series.trends(days_read)[0].points] == [40.0, 4.0]
    slow = records.load(tmp_path / "2" / "vl-vqa")
    seconds = {"latency": metric(9.0, unit="seconds")}
    make(tmp_path / "3" / "vl-vqa", [row("1", 1.0)], {"latency": metric(1.0, unit="seconds")}, slow.manifest.to_dict(),
         headline="latency")  # fmt: skip
    make(tmp_path / "4" / "vl-vqa", [row("1", 1.0)], seconds, slow.manifest.to_dict(), headline="latency")
    assert series.changes(days(tmp_path / "3", tmp_path / "4")) == []
    manifest = slow.manifest.to_dict()
    timed = manifest | {"plan": manifest["plan"] | {"interleaved": []}}
    for name, share in (("5", 0.5), ("6", 0.1)):
        make(tmp_path / name / "vl-efficiency", [row("1", 1.0)], {"device/share": metric(share)}, timed,
             headline="device/share")  # fmt: skip
    assert series.changes(days(tmp_path / "5", tmp_path / "6")) == []


def test_a_run_that_is_not_made_again_is_a_change_and_a_new_one_is_none(tmp_path):
    day(tmp_path, "1", 0.8)
    first, second = day(tmp_path, "1", 0.3, blind=True), day(tmp_path, "2", 0.8)
    assert series.changes(days(first, second)) == ["vl on vqa validation, blind: not run on 2, but on 1"]
    assert series.changes(days(second, first)) == []
    rows = series.trends(days(first, second))
    assert [[point.metric is None for point in each.points] for each in rows] == [[False, False], [False, True]]


def test_a_comparison_that_cannot_be_made_says_why(tmp_path):
    first, second = day(tmp_path, "1", 0.8), day(tmp_path, "2", 0.5, n=100)
    (line,) = series.changes(days(first, second))
    assert "sample '110' and 99 more" in line
    (first / "vl-vqa" / "samples.jsonl").unlink()
    (line,) = series.changes(days(first, second))
    assert "its samples were not kept" in line


def test_folders_that_are_no_days_are_refused(tmp_path):
    assert refused(command("trends", tmp_path), "holds no runs")
    folder = day(tmp_path, "1", 0.8)
    (folder / "vl-vqa").rename(folder / "again")
    day(tmp_path, "1", 0.8)
    with pytest.raises(InputError, match="two runs of vl on vqa validation: again and vl-vqa"):
        series.read(folder)


# For people


def test_the_table_says_what_changed(tmp_path):
    text = trend_page.render(days(day(tmp_path, "1", 0.8), day(tmp_path, "2", 0.7)), "md")
    assert "| vl on vqa validation | accuracy | 80.00 % | 70.00 % | 65.0 to 75.0 % | yes | 40.0 |" in text
    assert "1 to 2, 2 days; runs on the last: 1, at mini scale" in text


def test_the_page_draws_each_day_and_marks_the_one_that_changed(tmp_path):
    days_read = days(*(day(tmp_path, str(n), share) for n, share in enumerate([0.8, 0.8, 0.7, 0.7])))
    page = trend_page.render(days_read, "html")
    assert page.count('<rect class="changed"') == 1
    assert page.count('<circle class="dot"') == 3 + 4  # values, and as many speeds
    assert page.count('<line class="reach"') == 4
    assert "<p>Nothing: every value lies in its interval.</p>" in page  # of the last day
    tags = Outline(page).tags
    assert "script" not in tags
    assert tags.count("th") == page.count("<th scope=")


@pytest.mark.parametrize("text", HOSTILE)
def test_the_same_tags_whatever_a_model_is_called(tmp_path, text):
    def tags(name):
        signed = manifest()
        signed["model"] |= {"name": name}
        make(tmp_path / "1" / "run", [row("1", 1.0)], {"accuracy": metric(0.5)}, signed)
        return Outline(trend_page.render(days(tmp_path / "1"), "html")).tags

    assert tags(text) == tags("vl")
