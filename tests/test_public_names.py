"""The public names: what user code and plug-ins may import. A name is added or removed here on purpose."""

from __future__ import annotations

import ast
import importlib
import inspect

import documents
import pytest
from commands import PLUGIN, ROOT

PUBLIC = {
    "evals": """
        Audio Choose Embed EvalsError Generate Image InputError Metric Options Prediction RecordError Sample SampleError
        Samples Score Task UnknownName check compare import_logs interleave load run score
    """,
    "evals.schema": """
        ABILITIES MODALITIES SCALES Audio Batch ChatSettings Choose Classify Concurrent Embed ExpertSchedule Family
        Generate Group Image Inspectable Json LoadAware Measurable Metric Model ModelInput Options Part Placement
        Prediction Predictions Probe Prompt PromptTemplates
        RecordedBeginning Request ResourceRequirements RunConfig Sample SampleMetric
        Samples Score Streaming Task Variant
    """,
    "evals.registry": "FAMILIES METRICS TASKS VARIANTS Registry discover",
    "evals.metrics": "Estimate Mean average estimates means",
    "evals.hooks": "BatchDone MetricValue RunEvent RunFinished RunStarted RunStopped",
    "evals.errors": "EvalsError InputError LongPromptError RecordError SampleError UnknownName",
}
"""Module to public names. Also public: `evals.models.attention.VisualAttentionMapper` and `evals.hub_metrics.load`."""


def imports(source: str) -> set[tuple[str, str]]:
    """Every name that a source imports from the project, with its module; the name of a whole module is empty."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "evals":
            names |= {(str(node.module), alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {(alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "evals"}
    return names


def private(source: str) -> list[str]:
    """What a source imports that is not public."""
    also = {("evals.models.attention", "VisualAttentionMapper"), ("evals", "hub_metrics")}
    modules = {*PUBLIC, "evals.hub_metrics", "evals.models.attention"}
    return [
        f"{module} {name}".strip()
        for module, name in sorted(imports(source))
        if name not in PUBLIC.get(module, "").split() and (module, name) not in also and (name or module not in modules)
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_these(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == sorted(PUBLIC[name].split())
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_class_and_function_is_described(name):
    module = importlib.import_module(name)
    values = {public: getattr(module, public) for public in module.__all__}
    described = {
        public: value for public, value in values.items() if inspect.isclass(value) or inspect.isfunction(value)
    }
    assert [public for public, value in described.items() if not inspect.getdoc(value)] == []


def test_what_is_not_there_is_an_error():
    import evals

    with pytest.raises(AttributeError, match="nothing"):
        _ = evals.nothing


def test_the_plug_in_imports_public_names_only():
    assert private((PLUGIN / "toy_plugin.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", documents.PATHS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_documents_import_public_names_only(path):
    blocks = documents.blocks(path.read_text(encoding="utf-8"))
    assert [name for block in blocks if block.language in {"python", "py"} for name in private(block.text)] == []


def test_a_private_name_would_be_noticed():
    source = "import evals, evals.execution.loop\nfrom evals.schema import Task, Nobody\nfrom evals.data import images"
    assert private(source) == ["evals.data images", "evals.execution.loop", "evals.schema Nobody"]
