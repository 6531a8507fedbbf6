"""Draw how the headline of a run that looks at its interval developed: the value and its confidence sequence."""

from __future__ import annotations

import math

import msgspec
from markupsafe import Markup

from evals.records.folder import Record
from evals.records.sequential.stopped import drawn_clusters, is_mean_of
from evals.reports.rendering.sequences import SequenceAxes, SequencePoint, draw_sequence
from evals.schema import Metric
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.means import mean_sequence
from evals.statistics.sequential.sampled import SampledClusters


def draw(record: Record, metric: Metric) -> Markup | None:
    """Draw the looks of a run that stopped early; None for other runs, and with fewer than two looks.

    Args:
        record: a finished run.
        metric: its headline.
    """
    result = record.finished()
    entry = result.sequential
    if entry is msgspec.UNSET or result.stopped is None:
        return None
    rows = list(record.values())
    values = [float(row.values.get(result.headline, math.nan)) for row in rows]
    if not is_mean_of(metric, values):
        return None
    ids, clusters = [row.id for row in rows], [row.cluster for row in rows]
    drawn = drawn_clusters(ids, clusters, values, record.manifest.task.seed, entry.whole)
    points = [_point(drawn.first(count)) for count in looks(entry.clusters) if count <= len(drawn.sums_C)]
    if len(points) < 2:
        return None
    axes = SequenceAxes("{:,.0f} samples".format, " %", limits=(0.0, 100.0))
    alone = ", without the predictions" if entry.predictors else ""
    return draw_sequence(points, f"{result.headline} while the run went on{alone}", axes, result.headline)


def _point(drawn: SampledClusters) -> SequencePoint:
    low, high = mean_sequence(drawn)
    return SequencePoint(drawn.samples, 100 * drawn.mean, 100 * low, high=100 * high)
