"""The shared types of the suite: frozen dataclasses, and protocols for the interfaces between packages.

A `Task` turns a benchmark's rows into `Sample`s, each with the `Request`s that a model must answer. A `Model` turns
batches of requests into `Prediction`s. The task turns samples and predictions into `Score`s, and scores into `Metric`s:

    Task.samples(options) -> Samples -> Sample -> Request -> Model.prepare -> plan -> Model.stage, run -> Prediction
    Task.score(samples, predictions) -> Scores          Task.summarise(scores) -> {name: Metric}

It may import the standard library and `evals.errors`, and nothing else. Everything in `__all__` is public: plug-ins
may import it. Start with `tasks`, then `models`.
"""

from __future__ import annotations

from evals.schema.config import SCALES, ExpertSchedule, Options, Placement, RunConfig
from evals.schema.models import (
    Batch,
    Concurrent,
    Family,
    Group,
    Inspectable,
    LoadAware,
    Measurable,
    Model,
    ModelInput,
    Prompt,
    ResourceRequirements,
    Streaming,
    Variant,
)
from evals.schema.requests import (
    ABILITIES,
    MODALITIES,
    Audio,
    ChatSettings,
    Choose,
    Classify,
    Embed,
    Generate,
    Image,
    Json,
    Part,
    RecordedBeginning,
    Request,
)
from evals.schema.tasks import (
    Metric,
    Prediction,
    Predictions,
    Probe,
    PromptTemplates,
    Sample,
    SampleMetric,
    Samples,
    Score,
    Task,
)

__all__ = [
    "ABILITIES",
    "MODALITIES",
    "SCALES",
    "Audio",
    "Batch",
    "ChatSettings",
    "Choose",
    "Classify",
    "Concurrent",
    "Embed",
    "ExpertSchedule",
    "Family",
    "Generate",
    "Group",
    "Image",
    "Inspectable",
    "Json",
    "LoadAware",
    "Measurable",
    "Metric",
    "Model",
    "ModelInput",
    "Options",
    "Part",
    "Placement",
    "Prediction",
    "Predictions",
    "Probe",
    "Prompt",
    "PromptTemplates",
    "RecordedBeginning",
    "Request",
    "ResourceRequirements",
    "RunConfig",
    "Sample",
    "SampleMetric",
    "Samples",
    "Score",
    "Streaming",
    "Task",
    "Variant",
]
