"""Where a model looked: the map is the library's attention, and on known pictures it lies on what is asked about.

python -m pytest tests/models/test_attention.py
"""

from __future__ import annotations

import io

import checkpoints
import numpy as np
import pytest
from commands import evals, refused
from PIL import Image as Picture

from evals import Generate, InputError, registry
from evals.models import attention
from evals.models.attention import VisualAttentionMapper
from evals.models.families import vision_language
from evals.schema import Batch, Group, Placement
from evals.tasks import vqa
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import SIDE, silhouette
from evals.tasks.mini.vqa import split

registry.discover()


@pytest.fixture(scope="module", params=["deepseek_vl", "deepseek_vl_hybrid"])
def folder(request, tmp_path_factory):
    return getattr(checkpoints, request.param)(tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def replica():
    return VisualAttentionMapper.load("vl", device="cpu")


@pytest.fixture
def street() -> Picture.Image:
    return Picture.linear_gradient("L").rotate(70).convert("RGB").resize((60, 30))


def by_the_library(folder, picture, question):
    """Attention (L, H, S) of a prompt's last position, and where the picture is (S)."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    parts = [{"type": "image"}, *({"type": "text", "text": text} for text in (attention.INSTRUCTION, question))]
    text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    encoded = processor(text=text, images=[picture], return_tensors="pt")
    with torch.inference_mode():
        output = model(**encoded, output_attentions=True)
    ids = encoded["input_ids"][0]
    return torch.stack([layer[0, :, -1] for layer in output.attentions]), ids == processor.image_token_id


def test_the_map_is_the_librarys_attention(folder, street):
    mapper = VisualAttentionMapper.load(str(folder), device="cpu")
    seen = mapper.generate_attention(street, "left or right?", layers=[0, 2], heads=[1, 3])
    weights_LHS, on_picture_S = by_the_library(folder, street, "left or right?")
    wanted_S = weights_LHS[[0, 2]][:, [1, 3]].mean(dim=(0, 1))
    assert seen.image_share == pytest.approx(float(wanted_S[on_picture_S].sum()), abs=1e-5)
    expected = (wanted_S[on_picture_S] / wanted_S[on_picture_S].sum()).reshape(4, 4).numpy()
    np.testing.assert_allclose(seen.regions_RC, expected, atol=1e-5)
    assert expected.std() > 0, "the attention is flat everywhere: no test"


@pytest.mark.slow
def test_the_answer_is_the_one_that_is_evaluated(folder, street):
    seen = VisualAttentionMapper.load(str(folder), device="cpu").generate_attention(street, "yes or no")
    model = vision_language.load("tiny", str(folder), Placement(device="cpu"))
    asked = Generate("a", (attention._as_image(street), attention.INSTRUCTION, "yes or no"), attention.MAX_NEW_TOKENS)
    prompt, batch = model.prepare(asked), Batch((Group(0, (0,)),))
    if len(prompt.tokens) > 1:
        batch = Batch((Group(len(prompt.tokens) - 1, (0,)),))
    (evaluated,) = model.run([prompt], batch, model.stage([prompt], batch))
    assert seen.answer == evaluated.output.strip()
    assert attention.INSTRUCTION == vqa.INSTRUCTION


def test_later_tokens_have_their_own_map(replica):
    picture = draw(split("validation")[0].scene)
    first, last = (replica.generate_attention(picture, "What is the leftmost shape?", token=n) for n in (0, 1))
    assert first.token.strip() == first.answer
    assert not np.allclose(first.regions_RC, last.regions_RC)
    for seen in (first, last):
        assert seen.regions_RC.sum() == pytest.approx(1, abs=1e-5)
        assert 0 < seen.image_share <= 1


@pytest.mark.slow
def test_the_replica_looks_at_what_is_asked_about(replica):
    masses, areas = [], []
    for sheet in split("validation")[:6]:
        known = {thing.box: thing for thing in sheet.scene.things}
        for question in sheet.questions:
            if question.region in known:
                seen = replica.generate_attention(draw(sheet.scene), question.text)
                shares = np.asarray(silhouette(known[question.region]).reduce(SIDE // len(seen.regions_RC)), float)
                masses.append(seen.mass(shares.reshape(-1) / 255))
                areas.append(shares.mean() / 255)
    assert len(masses) >= 15
    assert np.mean(masses) > 1.5 * np.mean(areas)


def test_a_map_that_knows_nothing_has_the_share_of_the_area():
    flat = attention.AttentionMap(None, "", "", "", np.full((4, 4), 1 / 16, np.float32), 0.5, (0,), (0,))
    assert flat.mass([1.0] * 4 + [0.5] * 4 + [0.0] * 8) == pytest.approx(6 / 16)


@pytest.mark.parametrize("size", [(60, 30), (30, 60), (700, 500)])
def test_the_heat_lies_where_the_attention_is(size):
    file = io.BytesIO()
    Picture.new("RGB", size, (90, 90, 90)).save(file, "PNG")
    regions_RC = np.zeros((4, 4), np.float32)
    regions_RC[1, 1] = 1  # the cell left of the middle and above it, inside the picture whichever side was padded
    seen = attention.AttentionMap(
        attention.Image("p", data=file.getvalue()), "q?", "a", "a", regions_RC, 0.5, (0,), (0,)
    )
    drawn = seen.draw()
    height = drawn.width * size[1] / size[0]
    side = max(drawn.width, height)
    heat = np.asarray(drawn.convert("RGB"), float)[: int(height), :, 0]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    middle = (drawn.width / 2 - side / 8, height / 2 - side / 8)
    assert abs(x - middle[0]) < side / 8
    assert abs(y - middle[1]) < side / 8
    assert max(drawn.width, height) >= 480


@pytest.mark.parametrize("asked", [{"layers": [9]}, {"heads": [-1]}, {"token": 99}, {"layers": []}])
def test_what_there_is_not_is_named(replica, street, asked):
    with pytest.raises(InputError, match=r"layer|head|token"):
        replica.generate_attention(street, "why?", **asked)


def test_models_whose_grid_is_not_known_are_refused(tmp_path):
    from evals.models.families import causal

    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), Placement(device="cpu"))
    with pytest.raises(InputError, match="Causal"):
        VisualAttentionMapper.of(model)
    with pytest.raises(InputError, match="no bundled checkpoint"):
        VisualAttentionMapper.load("vl-7b")
    with pytest.raises(InputError, match="did you mean 'vl'"):
        VisualAttentionMapper.load("vll")


@pytest.mark.slow
def test_the_command_draws_a_picture(tmp_path):
    scene = split("validation")[7].scene
    draw(scene).save(tmp_path / "scene.png")
    asked = ["attend", "--model", "vl", "--image", tmp_path / "scene.png", "--question", "Is there a star?"]
    done = evals(*asked, "--out", tmp_path / "heat.png")
    assert done.returncode == 0, done.stderr
    assert "answer" in done.stdout
    with Picture.open(tmp_path / "heat.png") as drawn:
        assert drawn.width >= 480
    refused(evals(*asked, "--out", tmp_path / "no" / "heat.png"), "cannot write")
    asked[4] = tmp_path / "none.png"
    refused(evals(*asked, "--out", tmp_path / "heat.png"), "none.png does not exist")
