"""Names are registered at the first look-up of a session, whichever registry is used first."""

import json
import subprocess
import sys

import pytest
from commands import ROOT, environ

from evals import schema
from evals.models.endpoint.family import Endpoint
from evals.models.families.causal import Causal
from evals.models.families.two_streams import TwoStreams
from evals.models.families.vision_language import VisionLanguage

LINES = {
    "from evals.models.attention import VisualAttentionMapper as Mapper; print(Mapper.load('vl').model.name)": "vl",
    "import evals; print(evals.models.attention.VisualAttentionMapper.load('vl').model.name)": "vl",
    "import evals; print(evals.tasks.__name__, evals.reports.__name__)": "evals.tasks evals.reports",
    "from evals.registry import TASKS; print(TASKS.get('vqa').name)": "vqa",
    "from evals.registry import FAMILIES; print(FAMILIES.get('causal').name)": "causal",
    "from evals.registry import VARIANTS; print(VARIANTS.get('vl').name)": "vl",
}
SESSIONS = """
import json, os, sys
import transformers.generation, transformers.models.auto.modeling_auto  # as a session that has imported the libraries
for line in json.loads(sys.argv[1]):
    assert "evals" not in sys.modules
    if not (process := os.fork()):
        exec(line, {})
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, line
"""
"""Run each line as the first one of a session: in a fork of a process that has imported the libraries, and not ours."""


@pytest.mark.slow
def test_a_name_is_known_in_the_first_line_of_a_session():
    command = [sys.executable, "-c", SESSIONS, json.dumps([*LINES])]
    done = subprocess.run(command, env=environ(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, [*LINES.values()]), done.stderr


@pytest.mark.parametrize(
    ("family", "protocol"),
    [
        (Endpoint, schema.Concurrent),
        (Causal, schema.Measurable),
        (TwoStreams, schema.Measurable),
        (VisionLanguage, schema.Measurable),
    ],
)
def test_a_family_has_the_optional_parts_that_the_schema_declares(family, protocol):
    required = {name for name in vars(protocol) if not name.startswith("_")}
    assert required
    assert required <= {*dir(family), *family.__dataclass_fields__}
