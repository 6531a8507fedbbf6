"""Efficiency under a request rate: its metrics and what claims make of them, from replays on a virtual clock.

pytest tests/tasks/test_request_rate.py
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from evals import EvalsError, InputError
from evals.app import readiness
from evals.execution import validation
from evals.execution.collector import Collector
from evals.execution.loop import AnsweredRequest
from evals.records.result import score_of
from evals.registry import TASKS
from evals.reports.claims.evidence import measurement
from evals.reports.claims.evidence.levels import judge_level
from evals.reports.claims.evidence.measured_rows import Hypothesis
from evals.reports.claims.evidence.required_runs import RunOutcome
from evals.reports.claims.language.schema import Measure
from evals.schema import Options, Prediction, RunConfig
from evals.tasks import efficiency
from evals.timing import load_replay
from evals.timing.arrivals import Load
from evals.timing.load_replay import LoadReplay
from evals.timing.serving import serve

SERVICE = 0.1


def replayed(options, service=lambda waiting, size: SERVICE, fails=lambda id: False, experts=lambda waiting: None):
    """The scores of a run whose model takes `service(waiting, size)` seconds for requests that it answers together."""
    samples, load = efficiency.samples(options), Load.of(options)
    predictions = {}
    for replay in dict.fromkeys(sample.cluster for sample in samples):
        group = [sample for sample in samples if sample.cluster == replay]
        clock = SimpleNamespace(now=0.0)

        def answer(indices, waiting, clock=clock, group=group):
            clock.now += service(waiting, len(indices))
            return [(group[index], experts(waiting)) for index in indices]

        def sleep(seconds, clock=clock):
            clock.now += seconds

        times = load.times(replay, len(group))
        for entry in serve(times, answer, batch=load.batch, clock=lambda clock=clock: clock.now, sleep=sleep):
            sample, active = entry.answer
            output = {
                "arrival": entry.arrival, "start": entry.start, "first": None, "end": entry.end, "rate": load.rate,
                "sent": False, "together": entry.together, "waiting": entry.waiting, "experts": active,
                "prompt tokens": 20, "new tokens": 16,
                "asked tokens": sample.requests[0].max_new_tokens, "text": str(sample.target),
                "failure": "busy" if fails(sample.id) else None,
            }  # fmt: skip
            predictions[sample.id] = [Prediction(sample.id, output)]
    return efficiency.score(list(samples), predictions)


def metrics_at(rate, **more):
    options = Options(rate=rate, processes=5, repetitions=more.pop("repetitions", 100))
    return efficiency.summarise(replayed(options, **more))


def test_the_metrics_are_those_of_the_queue():
    metrics = metrics_at(3.0, repetitions=400)
    assert metrics["latency"].value == pytest.approx(SERVICE, rel=0.01)
    assert metrics["latency/p90"].low <= 1.84 * SERVICE <= metrics["latency/p90"].high  # of M/D/1 at 30 % load
    assert metrics["latency/p99"].value > metrics["latency/p90"].value
    assert metrics["utilisation"].value == pytest.approx(0.3)
    assert metrics["request-rate/asked"].value == 3.0
    assert metrics["request-rate"].value == pytest.approx(3.0, rel=0.1)
    assert metrics["throughput"].value == pytest.approx(16 * metrics["request-rate"].value)
    assert abs(metrics["queue-growth"].value) < 0.01
    assert metrics["queue-growth"].note is None
    assert metrics["failed-requests"].value == 0
    assert metrics["latency"].n == 5 * 400  # without warm-up and cool-down


def test_an_overloaded_server_is_said_to_be():
    metrics = metrics_at(13.0)
    assert "the system cannot bear 13 requests per second: the queue grows" in metrics["queue-growth"].note
    assert metrics["queue-growth"].value == pytest.approx(1 - 10 / 13, abs=0.1)
    assert metrics["request-rate"].value == pytest.approx(10, rel=0.05)
    assert metrics["latency"].low is None  # it depends on how long the replay is


def test_a_loop_that_batches_bears_more():
    options = Options(rate=13.0, processes=5, repetitions=100, batch=8)
    metrics = efficiency.summarise(replayed(options, service=lambda waiting, size: SERVICE * (0.8 + 0.2 * size)))
    assert metrics["queue-growth"].note is None
    assert metrics["batch-size"].value > 1
    assert "utilisation" not in metrics  # a batch may be larger the more requests wait


def test_requests_that_fail_count_as_the_slowest():
    metrics = metrics_at(3.0, fails=lambda id: id.endswith("7"))
    assert metrics["failed-requests"].value == pytest.approx(0.1, abs=0.02)
    assert "latency/p99" not in metrics  # it would be the time of a request that was never answered
    assert metrics["latency"].value == pytest.approx(SERVICE, rel=0.01)
    with pytest.raises(EvalsError, match="every measured request failed"):
        metrics_at(3.0, fails=lambda id: True)


def test_what_a_server_refuses_is_recorded_as_failed():
    """From the replay through the records to the metrics, as a run goes."""

    def stream(request, on_token):
        refused = int(request.id.partition("/")[2]) % 4 == 0
        return Prediction(request.id, None if refused else "yes", "busy" if refused else None, new_tokens=4)

    samples = efficiency.samples(options := Options(rate=5e4, processes=2, repetitions=8, split="questions"))
    answers = []
    for replay in ("0", "1"):
        group = [(index, sample) for index, sample in enumerate(samples) if sample.cluster == replay]
        requests = tuple(sample.requests[0] for _, sample in group)
        times = tuple(Load.of(options).times(replay, len(requests)))
        predictions = load_replay.replay(SimpleNamespace(stream=stream), LoadReplay(requests, times, 5e4, 1))
        answers += [AnsweredRequest(index, p, 0, 0) for (index, _), p in zip(group, predictions, strict=True)]
    rows = Collector(TASKS.get("efficiency"), samples).add(answers)
    assert [row.id for row in rows if row.failed] == [row.id for row in rows if int(row.id.partition("/")[2]) % 4 == 0]
    assert {row.failure for row in rows if row.failed} == {"busy"}
    metrics = efficiency.summarise([score_of(row) for row in rows])
    assert metrics["failed-requests"].value == 0.25  # of each replay requests 10 to 17 are measured
    assert "latency/p90 and latency/p99 would be" in metrics["failed-requests"].note
    outcome = RunOutcome(SimpleNamespace(result=SimpleNamespace(metrics=metrics)))
    assert "no latency/p99: so many failed" in measurement._missing(outcome, "latency/p99")
    right = [row.target == "yes" and not row.failed for row in rows if row.labels["phase"] == "measured"]
    assert metrics["accuracy"].value == sum(right) / len(right) < 1
    assert metrics["latency"].n == metrics["accuracy"].n == 16


def test_quality_and_time_by_number_of_experts():
    options = Options(rate=9.0, processes=3, repetitions=60, split="questions")

    def experts(waiting):
        return 8 if waiting < 2 else 4

    scores = replayed(options, service=lambda waiting, size: experts(waiting) / 100 + 0.04, experts=experts)
    metrics = efficiency.summarise(scores)
    assert metrics["experts-8/service"].value == pytest.approx(0.12)
    assert metrics["experts-4/service"].value == pytest.approx(0.08)
    assert metrics["experts-4/requests"].value + metrics["experts-8/requests"].value == 180
    assert 4 < metrics["active-experts"].value < 8
    assert metrics["accuracy"].value == metrics["experts-4/accuracy"].value == 1.0


def test_every_request_has_a_prompt_of_its_own():
    for split in ("short", "questions", "all"):
        samples = efficiency.samples(Options(rate=5.0, split=split, repetitions=20, processes=2))
        prompts = [sample.requests[0].parts[-1] for sample in samples]
        assert len(set(prompts)) == len(prompts) == 2 * 40
        assert samples.facts["edge"] == 10


def test_a_trace_is_measured_as_a_whole(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("0\n1\n2.5\n")
    samples = efficiency.samples(Options(arrivals=str(trace), processes=2))
    assert [sample.labels["phase"] for sample in samples] == ["measured"] * 6
    with pytest.raises(InputError, match="load trace"):
        efficiency.samples(Options(arrivals=str(trace), repetitions=2))
    trace.write_text("\n".join(map(str, [0, *[60] * 40])))  # a burst at its end is no overload
    metrics = efficiency.summarise(replayed(Options(arrivals=str(trace), processes=5, batch=2)))
    assert metrics["queue-growth"].value > 0.5
    assert "a load trace ends" in metrics["queue-growth"].note
    assert metrics["latency"].value == pytest.approx(10 * SERVICE)


def test_a_rate_that_needs_weeks_is_refused(tmp_path):
    for rate in (1e-300, 1e-3):
        with pytest.raises(InputError, match=r"280 requests at .* hours, allowed are 24"):
            efficiency.samples(Options(rate=rate))
    trace = tmp_path / "trace.csv"
    trace.write_text("0\n1e300\n")
    with pytest.raises(InputError, match=r"2 requests at .* hours, allowed are 24"):
        efficiency.samples(Options(arrivals=str(trace)))


def test_even_arrivals_of_which_none_waits_are_borne():
    options = Options(rate=2.0, arrivals="constant", processes=3, repetitions=20, batch=2)
    metrics = efficiency.summarise(replayed(options))
    assert (metrics["queue-growth"].low, metrics["queue-growth"].high) == (0, 0)
    assert metrics["queue-growth"].note is None


def test_no_interval_where_it_is_open_whether_the_rate_is_borne():
    rng = random.Random(1)
    metrics = metrics_at(10.0, service=lambda waiting, size: rng.expovariate(1 / SERVICE))
    assert metrics["utilisation"].low < 1 < metrics["utilisation"].high
    assert "do not show" in metrics["queue-growth"].note
    assert (metrics["latency"].low, metrics["latency"].note) == (None, "it is not shown that the system bears the rate")


def test_answers_that_end_early_are_counted():
    scores = replayed(Options(rate=3.0, processes=3, repetitions=20, scale="full"))  # 16 of 64 tokens
    note = efficiency.summarise(scores)["new-tokens"].note
    assert note == "60 of 60 answers ended early, so their times are those of shorter answers"
    assert metrics_at(3.0, repetitions=20)["new-tokens"].note is None


def test_a_server_batches_by_itself():
    config = RunConfig.of("endpoint:http://127.0.0.1:1/v1#m", "efficiency", rate=5.0, batch=4)
    assert "--batch 4 is for local models" in readiness.refusal(config)


def test_what_makes_no_sense_is_refused(command):
    with pytest.raises(InputError, match="--rate"):
        efficiency.samples(Options(split="questions"))
    with pytest.raises(InputError, match="--rate has no effect"):
        validation.check_supported(SimpleNamespace(name="vqa", supported_options=frozenset()), Options(rate=1.0))
    done = command("run", "--model", "r1,v2", "--task", "efficiency", "--rate", 5)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "--rate" in done.stderr


# Claims


def judged(metrics, metric, high):
    record = SimpleNamespace(
        timed=True, at_a_rate=True, values=lambda: [], finished=lambda: SimpleNamespace(metrics=metrics, stopped=None)
    )
    measure = Measure(task="efficiency", metric=metric, rate=metrics["request-rate/asked"].value)
    hypothesis = Hypothesis(measure=measure, relation="level", bound="at-most", low=None, high=high)
    row, lines = judge_level(hypothesis, record, SimpleNamespace(units={"seconds": SimpleNamespace(factor=1)}))
    return row.decision, " ".join(lines)


def test_a_claim_of_a_tail_at_a_rate_is_judged_by_the_replays():
    metrics = metrics_at(3.0, repetitions=600)
    assert metrics["latency/p99"].low is not None
    assert judged(metrics, "latency/p99", 0.6)[0] == "supported"
    decision, why = judged(metrics, "latency/p99", 0.15)
    assert (decision, "3 requests per second, which the system bears" in why) == ("refuted", True)
    few = metrics_at(3.0, repetitions=60)
    decision, why = judged(few, "latency/p99", 0.6)
    assert (decision, "independent ones" in why) == ("inconclusive", True)


def test_no_time_is_kept_by_a_server_that_cannot_bear_the_rate():
    metrics = metrics_at(13.0)
    decision, why = judged(metrics, "latency/p99", 1e6)
    assert (decision, "cannot bear 13 requests per second" in why) == ("refuted", True)


@pytest.mark.parametrize("more", [{"task": "vqa"}, {"relation": "speed-up", "baseline": "v3"}, {"rate": 0}])
def test_a_rate_is_for_levels_of_efficiency(more):
    with pytest.raises(ValueError, match=r"rate|greater"):
        Measure(**{"task": "efficiency", "metric": "latency", "rate": 5.0, **more})
