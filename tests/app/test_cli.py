"""The commands: what they print, and one clear line for each mistake of the user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import checkpoints
import pytest
from commands import ROOT, environ, evals, refused
from vqa_folders import vqa, write


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return checkpoints.deepseek_vl(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def recorded(tmp_path):
    """A folder of official files and a results file for it."""
    vqa(tmp_path / "data", images=False)
    write(tmp_path / "results.json", [{"question_id": 10 + n, "answer": "red"} for n in range(6)])
    return tmp_path


def run_recorded(folder, *more, **changes):
    arguments = {"--model": f"replay:{folder / 'results.json'}", "--task": "vqa", "--data": folder / "data", **changes}
    flat = [word for pair in arguments.items() for word in pair]
    return evals("run", *flat, "--out", folder / "run", *more)


# What is printed


def test_recorded_outputs_are_scored_without_pictures(recorded):
    done = run_recorded(recorded)
    assert done.returncode == 0, done.stderr
    assert "100.0 %" in done.stdout
    result = json.loads((recorded / "run" / "result.json").read_text())
    assert result["metrics"]["accuracy"]["value"] == 1.0
    assert result["split"] == "val2014"


def test_a_model_sees_the_pictures_of_a_local_folder(checkpoint, tmp_path):
    vqa(tmp_path / "data")
    done = evals("run", "--model", checkpoint, "--task", "vqa", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert not any(row["failed"] for row in rows)
    assert (tmp_path / "run" / "worst").is_dir()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["plan"]["token_budget"] > 0
    assert manifest["model"]["architecture"] == "DeepseekVLForConditionalGeneration"


def test_show_score_report_and_list_read_the_run(recorded):
    run_recorded(recorded)
    for arguments in (["show"], ["score"], ["report"], ["report", "--format", "csv"], ["report", "--format", "html"]):
        done = evals(arguments[0], recorded / "run", *arguments[1:])
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    listed = evals("list", "models")
    assert "vl " in listed.stdout
    assert "replay:" in listed.stdout


@pytest.mark.parametrize("form", ["json", "csv", "tex", "html", "md"])
def test_rendering_twice_gives_the_same_bytes(recorded, form):
    run_recorded(recorded)
    first, second = (evals("report", recorded / "run", "--format", form).stdout for _ in range(2))
    assert first == second != ""


def test_a_reader_that_leaves_early_is_no_error(recorded):
    run_recorded(recorded)
    command = f"{sys.executable} -m evals report {recorded / 'run'} --format html | head -c 10"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environ(), capture_output=True, text=True)
    assert done.stderr == ""


# What is wrong with the arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--model", "vll", "--task", "vqa"], ["no model is named 'vll'", "'vl'"]),
        (["run", "--model", "vl", "--task", "vqq"], ["no task is named 'vqq'", "'vqa'"]),
        (["run", "--model", "vl", "--task", "vqa", "--split", "valdation"], ["'valdation'", "'validation'"]),
        (["run", "--model", "vl", "--task", "vqa", "--limit", "0"], ["--limit 0"]),
        (["run", "--model", "vl", "--task", "vqa", "--limit", "-3"], ["--limit -3"]),
        (["run", "--model", "vl", "--task", "vqa", "--limit", "ten"], ["--limit", "'ten'"]),
        (["run", "--model", "vl", "--task", "vqa", "--workers", "0"], ["--workers 0"]),
        (["run", "--model", "vl", "--task", "vqa", "--token-budget", "0"], ["--token-budget 0"]),
        (["run", "--model", "r1", "--task", "math", "--top-p", "0.5"], ["--top-p 0.5", "--temperature"]),
        (["run", "--model", "vl", "--task", "vqa", "--scale", "huge"], ["'huge'", "full, mini"]),
        (["run", "--model", "vl", "--task", "vqa", "--scale", "full"], ["official files"]),
        (["run", "--model", "vl", "--task", "vqa", "--data", "/nowhere"], ["/nowhere"]),
        (["run", "--model", "toy:", "--task", "toy/embed"], ["needs a model that can embed", "generate"]),
        (["run", "--model", "toy:", "--task", "toy", "--blind"], ["--blind is for tasks with images"]),
        (["run", "--model", "replay:/nowhere.json", "--task", "vqa"], ["/nowhere.json"]),
        (["check", "--scale", "huge"], ["'huge'", "full, mini"]),
        (["run", "--model", "vl"], ["--task"]),
        (["run", "--modle", "vl", "--task", "vqa"], ["--model"]),
        (["fly"], ["fly"]),
        (["show", "/nowhere"], ["/nowhere is not a run folder"]),
        (["score", "/nowhere"], ["/nowhere is not a run folder"]),
        (["report", "/nowhere"], ["/nowhere is not a run folder"]),
    ],
)
def test_one_line_says_what_is_wrong(arguments, words, tmp_path):
    refused(evals(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == [], "nothing was written"


@pytest.mark.parametrize("flag", [("--device", "abacus"), ("--dtype", "int3")])
def test_a_device_or_number_format_that_is_not_offered(checkpoint, tmp_path, flag):
    refused(evals("run", "--model", checkpoint, "--task", "vqa", "--limit", 5, *flag, cwd=tmp_path), flag[1])


# What is wrong with the data


def test_a_folder_without_the_files_says_which_and_where_to_get_them(recorded):
    (recorded / "data" / "v2_mscoco_val2014_annotations.json").unlink()
    refused(run_recorded(recorded), "annotations.json", "visualqa.org")


def test_malformed_json_is_named_with_its_position(recorded):
    path = recorded / "data" / "v2_mscoco_val2014_annotations.json"
    path.write_text(path.read_text()[:-40])
    refused(run_recorded(recorded), path.name, "line 1")


@pytest.mark.parametrize("which", ["questions", "annotations"])
def test_questions_without_annotations_and_the_reverse(recorded, which):
    (path,) = (recorded / "data").glob(f"*{which}.json")
    content = json.loads(path.read_text())
    del content[which][2]
    write(path, content)
    refused(run_recorded(recorded), "12")


def test_a_repeated_id_is_named(recorded):
    (path,) = (recorded / "data").glob("*questions.json")
    content = json.loads(path.read_text())
    content["questions"].append(content["questions"][0])
    write(path, content)
    refused(run_recorded(recorded), "10", path.name)


def test_an_image_path_that_leaves_its_folder_is_refused(recorded):
    for path in (recorded / "data").glob("*.json"):
        write(path, path.read_text().replace('"image_id": 2', '"image_id": "../../etc/passwd"'))
    refused(run_recorded(recorded), "image_id")


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([{"question_id": 10, "answer": "red"}], ["no output for 11, 12, 13 and 2 more"]),
        ([{"question_id": 9 + n, "answer": "red"} for n in range(8)], ["9", "not in the split"]),
        ([{"question_id": 10, "answer": "red"}] * 2, ["id 10 comes a second time"]),
        ([{"question": 10}], ["question_id and answer"]),
        ("[{", ["line 1"]),
        ("red", ["not in a known form"]),
    ],
)
def test_recorded_outputs_that_do_not_fit(recorded, results, words):
    write(recorded / "results.json", results)
    refused(run_recorded(recorded), "results.json", *words)


def test_broken_pictures_fail_their_samples_and_the_run_goes_on(checkpoint, tmp_path):
    data = vqa(tmp_path / "data", questions=12)
    pictures = sorted((data / "val2014").iterdir())
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:200])
    pictures[2].write_text("this is no picture")
    bomb(pictures[3])
    done = evals("run", "--model", checkpoint, "--task", "vqa", "--data", data, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["n"], result["failed"]) == (12, 8)
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    failures = {row["cluster"]: row["failure"] for row in rows if row["failed"]}
    assert set(failures) == {"1", "2", "3", "4"}
    for image, path in zip("1234", pictures, strict=False):
        assert path.name.removeprefix("COCO_val2014_") in failures[image]
    assert "pixels" in failures["4"]


def bomb(path: Path) -> None:
    """A small file that would decode to 3.6 gigapixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


# What is wrong with the place or the checkpoint


def test_an_output_folder_that_cannot_be_written(recorded):
    (recorded / "run").write_text("a file lies here")
    refused(run_recorded(recorded), "cannot write in")


@pytest.mark.skipif(not Path("/dev/full").exists() or os.getuid() != 0, reason="mounts a small file system")
def test_a_full_disk_ends_the_run_in_one_line_and_it_goes_on_elsewhere(recorded):
    small = recorded / "run"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        refused(run_recorded(recorded), "No space left on device")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert run_recorded(recorded).returncode == 0


def test_a_folder_in_use(recorded):
    import filelock

    (recorded / "run").mkdir()
    with filelock.FileLock(recorded / "run" / ".lock"):
        refused(run_recorded(recorded), "in use by another process")


def test_a_run_folder_of_another_run(recorded):
    assert run_recorded(recorded).returncode == 0
    refused(run_recorded(recorded, "--limit", "3"), "holds run", "task.limit")


def test_a_folder_that_is_no_checkpoint(tmp_path):
    refused(evals("run", "--model", "vl", "--checkpoint", tmp_path, "--task", "vqa", "--limit", 2), "no config.json")


def test_a_checkpoint_without_a_tokenizer(tmp_path):
    checkpoints.deepseek_vl(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    out = tmp_path / "run"
    refused(evals("run", "--model", tmp_path, "--task", "vqa", "--limit", 2, "--out", out), "no usable processor")


def test_a_checkpoint_that_wants_to_run_its_own_code(tmp_path):
    write(tmp_path / "config.json", {"model_type": "multi_modality", "auto_map": {"AutoModel": "evil.Model"}})
    refused(evals("run", "--model", tmp_path, "--task", "vqa", "--limit", 2), "never run")
