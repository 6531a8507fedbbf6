"""What is installed: a wheel, an sdist and an editable install, each from a copy of the checkout.

The fresh environments hold nothing but the project; its dependencies are those of the environment that runs the tests,
so nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from commands import ROOT

pytestmark = pytest.mark.slow

DATA = {
    "evals/models/variants.yaml",
    "evals/models/configs.yaml",
    "evals/reports/claims/a.yaml",
    "evals/reports/claims/b.yaml",
    "evals/reports/claims/schema.json",
    "evals/reports/guides/a.yaml",
    "evals/reports/claims/facts/record.yaml",
    "evals/reports/rendering/templates/run.html",
    "evals/reports/rendering/templates/report.css",
    "evals/tasks/mini/splits/vqa/validation.parquet",
    "evals/tasks/scoring/vqa_tables.json",
    *(
        f"evals/models/replicas/checkpoints/{name}/model.safetensors"
        for name in ("r1", "r1-moe", "r1-zero/last", "v2", "v3", "v3-seq2seq", "vl")
    ),
}
"""Files that commands read and no import would miss."""


def finish(arguments, cwd, **changes):
    """Run a process without the tests' own import paths and return its output; fails with its error."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"CI": "true", "HF_HUB_OFFLINE": "1", **changes}
    done = subprocess.run([*map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout, links as links, so that building leaves nothing in the real one."""

    def left_out(folder, names):
        built = {"build", "dist", "runs"} if Path(folder) == ROOT else set()
        return [
            name for name in names if name in built or name == "__pycache__" or name.startswith((".", "claim_evals."))
        ]

    return shutil.copytree(ROOT, tmp_path_factory.mktemp("copy") / "checkout", symlinks=True, ignore=left_out)


@pytest.fixture(scope="module")
def wheel(checkout):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    finish([*pip, "--wheel-dir", checkout.parent, checkout], checkout.parent)
    (path,) = checkout.parent.glob("*.whl")
    return path


def environment(folder: Path, *what) -> Path:
    """Install into a fresh environment that sees the dependencies of this one; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = finish([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    # A path file, and not addsitedir: the path files of this environment (an editable install of ours) are not read.
    Path(site, "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    finish([*pip, "--no-build-isolation", "--no-compile", "--ignore-installed", *what], folder)
    return python


@pytest.fixture(scope="module", params=["wheel", "editable"])
def python(request, tmp_path_factory):
    """The Python of an environment in which the project is installed."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "wheel":
        return environment(folder, request.getfixturevalue("wheel"))
    return environment(folder, "--editable", request.getfixturevalue("checkout"))


@pytest.fixture
def working_folder(tmp_path):
    """A folder of a user whose own modules have the names of ours."""
    for name in ("models/__init__.py", "tasks.py", "reports/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine = True\n")
    return tmp_path


def test_a_wheel_has_one_name_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"evals"}
    assert names >= DATA
    assert not [name for name in names if "__pycache__" in name or "/baseline/" in name]


def test_a_wheel_has_every_module_of_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.endswith(".py")}
    modules = {
        f"evals/{path.relative_to(ROOT)}" if package != "evals" else str(path.relative_to(ROOT))
        for package in ("evals", "tasks", "models", "reports")
        for path in (ROOT / package).rglob("*.py")
        if path.resolve() == path
    }
    assert names == modules


def test_an_sdist_builds_the_same_wheel(checkout, wheel, tmp_path):
    code = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    finish([sys.executable, "-c", code, tmp_path], checkout)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    code = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    finish([sys.executable, "-c", code, tmp_path], packed.with_name(packed.name.removesuffix(".tar.gz")))
    (rebuilt,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(rebuilt) as second:
        assert {entry.filename: entry.CRC for entry in first.infolist() if "dist-info" not in entry.filename} == {
            entry.filename: entry.CRC for entry in second.infolist() if "dist-info" not in entry.filename
        }


def test_the_command_and_the_api_run_beside_modules_of_the_user(python, working_folder):
    run = ["-m", "evals", "run", "--model", "vl", "--task", "vqa", "--limit", "20", "--out", "run"]
    assert "accuracy" in finish([python, *run], working_folder)
    assert (working_folder / "run" / "report.html").is_file()
    code = "import evals; print(evals.run('vl', 'vqa', limit=20, out='run').result['n'])"
    assert finish([python, "-c", code], working_folder).split()[-1] == "20", "the API reads the run of the command"


def test_each_module_has_one_name(python, working_folder, tmp_path_factory):
    code = "import models, reports, tasks; print(models.mine, reports.mine, tasks.mine)"
    assert finish([python, "-c", code], working_folder).split() == ["True"] * 3
    code = (
        "import importlib.util as u, evals; print(evals.__file__)\n"
        "print([u.find_spec(name) is None for name in ('models', 'tasks', 'reports')])"
    )
    file, absent = finish([python, "-c", code], tmp_path_factory.mktemp("elsewhere")).splitlines()
    assert not Path(file).is_relative_to(ROOT)
    assert absent == "[True, True, True]"


def test_the_script_says_its_version(python, working_folder):
    import evals

    script = finish([python.with_name("evals"), "--version"], working_folder)
    assert script == finish([python, "-m", "evals", "--version"], working_folder)
    assert evals.__version__ in script
