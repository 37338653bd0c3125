"""Which family writes boxes how, in process and behind servers."""

from __future__ import annotations

import pytest

from mmreason.grounding import Dialect
from mmreason.language.prompts import Prompts
from mmreason.models.base import ClipRecipe
from mmreason.models.box_dialects import dialect_of, locate_prompt, recipe_for, with_dialect
from mmreason.models.endpoint import EndpointModel
from mmreason.models.options import ModelOptions
from tests.models.servers import fine, in_turn, serving


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("qwen2_5_vl", Dialect.SEEN_PX),
        ("qwen2_5_omni_thinker", Dialect.SEEN_PX),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", Dialect.SEEN_PX),
        ("qwen2.5vl:7b", Dialect.SEEN_PX),
        ("qwen2_vl", Dialect.QWEN2_VL),
        ("Qwen/Qwen3-VL-4B-Instruct", Dialect.NORM_1000),
        ("gemma3", Dialect.NORM_1000_YX),
        ("google/gemma-3-4b-it", Dialect.NORM_1000_YX),
        ("gemma4", Dialect.NORM_1000_YX),
        ("gemini-2.5-flash", Dialect.NORM_1000_YX),
        ("llava_next_video", Dialect.NORM_1),
        ("llava-hf/llava-onevision-qwen2-7b-ov-hf", Dialect.NORM_1),
        ("video_llava", Dialect.NORM_1),
        ("OpenGVLab/InternVL3-8B-hf", Dialect.INTERNVL),
        ("zai-org/GLM-4.1V-9B-Thinking", Dialect.GLM_V),
        ("glm4v_moe", Dialect.GLM_V),
        ("deepseek-ai/deepseek-vl2-small", Dialect.DEEPSEEK_VL2),
        ("deepseek_vl_v2", Dialect.DEEPSEEK_VL2),
        ("microsoft/Florence-2-large", Dialect.FLORENCE_2),
        ("google/paligemma-3b-mix-224", Dialect.PALIGEMMA),
        ("google/paligemma2-3b-pt-448", Dialect.PALIGEMMA),
        ("microsoft/kosmos-2-patch14-224", Dialect.KOSMOS_2),
        ("IDEA-Research/Rex-Omni", Dialect.REX_OMNI),
        ("allenai/Molmo-7B-D-0924", Dialect.MOLMO),
        ("allenai/Molmo2-8B", Dialect.MOLMO_2),
        ("THUDM/cogvlm-grounding-generalist-hf", Dialect.COGVLM),
        ("Qwen/Qwen3.5-27B", Dialect.NORM_1000),
        ("openbmb/MiniCPM-V-4_6", Dialect.NORM_1000),
        ("my-own", Dialect.NORM_1000),
    ],
)
def test_a_name_tells_how_boxes_are_written(name: str, dialect: Dialect) -> None:
    assert dialect_of(name) is dialect
    assert recipe_for(name, multiple_px=28, tier="small").box_dialect is dialect


def test_a_fine_tune_that_keeps_its_type_is_known_by_its_weights() -> None:
    assert dialect_of("qwen2_5_vl", weights="IDEA-Research/Rex-Omni") is Dialect.REX_OMNI
    assert dialect_of("qwen2_5_vl", weights="/models/Rex-Omni/run") is Dialect.SEEN_PX
    assert dialect_of("qwen2_5_vl", weights="my-own") is Dialect.SEEN_PX


def test_y_first_families_are_asked_for_y_first() -> None:
    assert "[y1, x1, y2, x2]" in recipe_for("gemma3", multiple_px=1, tier="small").prompts.find(
        "cup"
    )
    assert "[x1, y1, x2, y2]" in recipe_for("qwen3_vl", multiple_px=1, tier="small").prompts.find(
        "cup"
    )


@pytest.mark.parametrize(
    ("served", "dialect", "multiple_px"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", Dialect.SEEN_PX, 28),
        ("gemini-2.5-flash", Dialect.NORM_1000_YX, 32),
        ("Qwen/Qwen3-VL-4B-Instruct", Dialect.NORM_1000, 32),
        ("Qwen/Qwen2-VL-2B-Instruct", Dialect.QWEN2_VL, 28),
        ("OpenGVLab/InternVL3_5-8B", Dialect.INTERNVL, 32),
        ("deepseek-ai/deepseek-vl2", Dialect.DEEPSEEK_VL2, 32),
    ],
)
def test_the_served_name_decides_behind_a_server(
    served: str, dialect: Dialect, multiple_px: int
) -> None:
    with serving(in_turn(fine()), served) as server:
        model = EndpointModel.connect(server.url)
        model.close()
    assert (model.clip.box_dialect, model.clip.multiple_px) == (dialect, multiple_px)


def test_every_dialect_is_asked_for_in_its_own_words() -> None:
    prompts = {dialect: locate_prompt(dialect) for dialect in Dialect}
    assert all("{expression}" in prompt for prompt in prompts.values())
    # Two are JSON on the scale that general words ask for, and two are of one family.
    assert len(set(prompts.values())) == len(Dialect) - 2


def test_the_option_changes_the_question_together_with_the_reading() -> None:
    clip = recipe_for("my-own", multiple_px=28, tier="small")
    adapted = ModelOptions(box_dialect=Dialect.NORM_1000_YX).adapt_clip(clip)
    assert adapted.box_dialect is Dialect.NORM_1000_YX
    assert "[y1, x1, y2, x2]" in adapted.prompts.find("cup")
    assert adapted.prompts.caption == clip.prompts.caption


def test_a_question_of_the_user_stays_whatever_the_dialect() -> None:
    prompts = Prompts(locate="Where is {expression}?")
    clip = ClipRecipe(frames=4, leaf_s=4.0, prompts=prompts)
    adapted = with_dialect(clip, Dialect.INTERNVL)
    assert (adapted.prompts, adapted.box_dialect) == (prompts, Dialect.INTERNVL)
