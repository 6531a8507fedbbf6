"""The command `ab`: what it decides, what it refuses to decide, and what it writes."""

from __future__ import annotations

import json
import random

import pytest
from experiment_logs import write

from evals.app.commands.ab import planned_shares
from evals.errors import InputError
from evals.statistics.experiments.analysis import analyse


@pytest.fixture
def log(tmp_path):
    """Make a log of A and B, with these rates in this many rows each."""

    def make(rates, rows=4_000, seed=1, name="log.csv", **columns):
        rng = random.Random(seed)
        shown = [
            {"v": arm, "y": int(rng.random() < rate), **{key: value(rng) for key, value in columns.items()}}
            for arm, rate in rates.items()
            for _ in range(rows if isinstance(rows, int) else rows[arm])
        ]
        rng.shuffle(shown)
        return write(tmp_path / name, shown)

    return make


ASKED = ("--variant", "v", "--success", "y")


def test_a_difference_is_said_in_one_sentence_and_written(log, command, tmp_path):
    path, out = log({"A": 0.10, "B": 0.14}, land=lambda rng: rng.choice("XY")), tmp_path / "out"
    done = command("ab", path, *ASKED, "--segment", "land", "--out", out)
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    report = json.loads((out / "ab.json").read_text())
    (row,) = report["comparisons"]
    low, high = 100 * row["difference"]["low"], 100 * row["difference"]["high"]
    assert first.startswith(
        f"B is better than A by {100 * row['difference']['value']:.1f} points ({low:.1f} to {high:.1f})"
    )
    assert row["decision"] == "better"
    assert [segment["segment"] for segment in report["segments"]["comparisons"]] == ["X", "Y"]
    assert report["sample_ratio"]["holds"] is True
    page = (out / "ab.html").read_text()
    assert first.removesuffix(".") in page
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert first.split(":")[0] in (out / "ab.md").read_text().replace("\\", "")


def test_lower_is_better_turns_the_verdict(log, command):
    path = log({"A": 0.10, "B": 0.14})
    assert "B is worse than A by " in command("ab", path, *ASKED, "--lower-is-better").stdout
    assert "A is worse than B by 3." in command("ab", path, *ASKED, "--baseline", "B").stdout


def test_equal_variants_are_not_decided(log, command):
    sentence = command("ab", log({"A": 0.10, "B": 0.10}, rows=500), *ASKED).stdout.splitlines()[0]
    assert sentence.startswith("Not decided: B against A: it may be up to ")
    assert "points worse or" in sentence


def test_no_winner_where_the_shares_are_not_as_planned(log, command):
    path = log({"A": 0.10, "B": 0.20}, rows={"A": 4_000, "B": 3_500})
    for flags in ((), ("--growing",)):
        done = command("ab", path, *ASKED, *flags)
        assert done.stdout.startswith("B and A cannot be compared: 4,000 : 3,500 came where 50 % : 50 % were planned")
        assert "better" not in done.stdout.splitlines()[0]
    assert command("ab", path, *ASKED, "--planned", "8:7").stdout.startswith("B is better than A by ")


def test_a_growing_log_needs_more_than_one_look_does(log, command):
    path = log({"A": 0.10, "B": 0.122}, rows=2_500)
    assert "B is better than A" in command("ab", path, *ASKED).stdout
    assert command("ab", path, *ASKED, "--growing").stdout.startswith("Not decided: B against A")
    few = log({"A": 0.1, "B": 0.5}, rows=40, name="few.csv")
    assert "B and A have too few rows so far" in command("ab", few, *ASKED, "--growing").stdout


def test_simpson_s_paradox_names_no_winner(tmp_path, command):
    """Kidney stones (Charig et al., BMJ 292, 1986): A is better for small and for large stones, and worse in all."""
    counts = {
        ("A", "small"): (81, 87),
        ("A", "large"): (192, 263),
        ("B", "small"): (234, 270),
        ("B", "large"): (55, 80),
    }
    rows = [
        {"v": arm, "y": int(number < 4 * cured), "stone": stone}
        for (arm, stone), (cured, all_of) in counts.items()
        for number in range(4 * all_of)
    ]
    done = command("ab", write(tmp_path / "log.csv", rows), *ASKED, "--segment", "stone")
    assert done.stdout.startswith("B and A cannot be compared: within the segments the difference goes the other way")
    assert "Simpson's paradox: B differs from A by 4.6 points in the whole log, but by -5." in done.stdout
    assert "The variants have different shares of the segments" in done.stdout
    assert "B is better than A by " in command("ab", tmp_path / "log.csv", *ASKED).stdout


def test_users_in_both_variants_changing_shares_and_missing_outcomes_are_told(tmp_path, command):
    rng = random.Random(3)
    rows = [
        {
            "v": "B" if rng.random() < (0.2 if day < 10 else 0.8) else "A",
            "y": "" if rng.random() < 0.05 * (day >= 10) else rng.choice([1, 2, 3, 4, 5]),
            "user": rng.randrange(1_500),
            "day": f"2025-01-{day + 1:02d}",
        }
        for day in range(20)
        for _ in range(200)
    ]
    path = write(tmp_path / "log.csv", rows)
    out = command("ab", path, *ASKED, "--unit", "user", "--time", "day").stdout
    assert "units came in more than one variant" in out
    assert "The shares of the variants changed over time (p < 0.0001)" in out
    assert "rows without outcome left out" in out
    assert "Outcomes are missing more often in some variants" in out


def test_a_variant_that_loses_the_outcomes_of_its_failures_is_not_compared(tmp_path, command):
    rows = [{"v": "AB"[n % 2], "y": n // 2 % 2} for n in range(2_000)]
    lost = [
        {**row, "y": "" if row["v"] == "B" and not row["y"] and n % 5 < 2 else row["y"]} for n, row in enumerate(rows)
    ]
    done = command("ab", write(tmp_path / "log.csv", lost), *ASKED)
    assert done.stdout.startswith("B and A cannot be compared: outcomes are missing more often in some variants")


def test_shares_that_changed_over_time_or_by_segment_name_no_winner(tmp_path, command):
    """The rate of both variants rises with the time, and so does B's share: B only looks better."""
    rng = random.Random(5)
    rows = [
        {"v": "B" if rng.random() < (0.1, 0.9)[late] else "A", "y": int(rng.random() < (0.2, 0.3)[late]), "t": late}
        for late in (0, 1)
        for _ in range(3_000)
    ]
    rows[0]["t"] = ""  # one missing time hides nothing
    path = write(tmp_path / "log.csv", rows)
    for option in ("--time", "--segment"):
        done = command("ab", path, *ASKED, option, "t")
        assert "is better" not in done.stdout.partition("\n")[0]
        assert "cannot be compared" in done.stdout.partition("\n")[0]


def test_three_variants_are_corrected_for_their_number(log, command):
    done = command("ab", log({"A": 0.1, "B": 0.1, "C": 0.16}, rows=2_000), *ASKED, "--planned", "1:1:1")
    assert "C is better than A by " in done.stdout
    assert done.stdout.startswith("Not decided: B against A")
    assert "p (Holm)" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--planned", "50"), "--planned 50: give a positive share for each of A, B"),
        (("--planned", "B=50,C=50"), "--planned B=50,C=50: give"),
        (("--planned", "0:1"), "--planned 0:1: give"),
        (("--unit", "v"), "column 'v' is given as variant and unit"),
        (("--unit", "nobody"), "has no column 'nobody'"),
    ],
)
def test_options_that_do_not_fit_are_refused(log, command, flags, message):
    done = command("ab", log({"A": 0.1, "B": 0.1}, rows=20), *ASKED, *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_all_successes_and_names_that_a_page_would_run(tmp_path, command):
    rows = [{"v": arm, "y": 1} for arm in ("<script>alert(1)</script>", "\u202eb|*") for _ in range(300)]
    done = command("ab", write(tmp_path / "log.csv", rows), *ASKED, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Not decided" in done.stdout
    assert "\u202e" not in done.stdout
    assert "<script>alert" not in (tmp_path / "out" / "ab.html").read_text()


def test_ratings_are_compared_by_their_means(tmp_path, command):
    rng = random.Random(4)
    rows = [
        {"v": arm, "y": rng.choice([1, 2, 3, 4, 5]) + shift} for arm, shift in (("A", 0), ("B", 1)) for _ in range(300)
    ]
    done = command("ab", write(tmp_path / "log.parquet", rows), *ASKED, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "ab.json").read_text())
    means = [sum(row["y"] for row in rows if row["v"] == arm) / 300 for arm in "AB"]
    assert done.stdout.startswith(f"B is better than A by {means[1] - means[0]:.2f} (")
    assert [variant["mean"]["value"] for variant in report["variants"]] == pytest.approx(means)
    assert report["comparisons"][0]["lift"]["value"] == pytest.approx(means[1] / means[0] - 1)
    assert "name the column of the users with --unit" in done.stdout


def test_names_that_differ_in_form_and_times_before_1990_are_told(tmp_path, command):
    rows = [{"v": ("a", "A", "B", "2", "2.0")[n % 5], "y": n % 3 == 0, "t": n} for n in range(400)]
    out = command("ab", write(tmp_path / "log.csv", rows), *ASKED, "--time", "t").stdout
    assert "The variants 'A' and 'a' differ only in how they are written." in out
    assert "The variants '2' and '2.0' differ only" in out
    assert "Times from 1970-01-01 00:00 to 1970-01-01 00:06." in out
    assert "The last time is 1970-01-01 00:06: numbers in the column of times count as seconds since 1970." in out


def test_few_users_and_few_purchases_that_decide_are_told_and_name_no_winner(tmp_path, command):
    rng = random.Random(7)
    rows = [{"u": f"{arm}{user}", "v": arm, "y": user % 3 == 0} for arm in "AB" for user in range(40)]
    rows += [{"u": f"{arm}-bot", "v": arm, "y": int(rng.random() < rate)} for arm, rate in (("A", 0.3), ("B", 0.5))
             for _ in range(300)]  # fmt: skip
    out = command("ab", write(tmp_path / "users.csv", rows), *ASKED, "--unit", "u").stdout
    assert out.startswith("Not decided: B against A: it may be up to ")
    assert "A few units hold most rows of B: its 41 units weigh like 1.3 of equal size." in out
    paid = [
        {"v": arm, "y": round(rng.lognormvariate(3, 1.5), 2) if rng.random() < 0.05 else 0}
        for arm, count in (("A", 2700), ("B", 300))
        for _ in range(count)
    ]
    out = command("ab", write(tmp_path / "paid.csv", paid), *ASKED, "--planned", "90:10").stdout
    assert out.startswith("Not decided: B against A: the outcomes are skewed, and too few decide a mean")
    assert "A permutation test must agree with the t test" in out


def test_planned_shares_by_name_may_contain_signs():
    assert planned_shares("x=1=2,A=1", ["A", "x=1"]) == [1.0, 2.0]
    with pytest.raises(InputError):
        planned_shares("nan:1", ["A", "B"])


def test_an_analysis_needs_two_variants_with_outcomes():
    from experiment_logs import cells_of

    with pytest.raises(ValueError, match="expected two or more, each with an outcome"):
        analyse(cells_of([1, 0], [0, 0]), [1, 1])
