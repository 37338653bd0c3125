"""`mmreason train rl`, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmreason.cli import main
from tests.video import clips

RECIPE = """
from pathlib import Path

from mmreason.training.tasks.frames import FrameTask
from mmreason.training import rl

recipe = rl.Recipe(
    task=FrameTask(split="train", kinds=("count",)),
    out=Path({out!r}),
    steps={steps},
    sampling=rl.SamplingSettings(
        problems_per_step=2, samples={samples}, temperature={temperature}
    ),
    weights=rl.TrainedWeights(freeze=("model.visual",), {weights}),
    {more}
)
"""


def recipe(
    folder: Path,
    steps: int = 2,
    samples: int = 2,
    temperature: float = 1.0,
    weights: str = "",
    more: str = "",
) -> Path:
    path = folder / "recipe.py"
    text = RECIPE.format(
        out=str(folder / "run"),
        steps=steps,
        samples=samples,
        temperature=temperature,
        weights=weights,
        more=more,
    )
    path.write_text(text)
    return path


def test_a_dry_run_counts_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "rl", str(recipe(tmp_path)), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["attempts"] == 8 and told["updates"] == 2
    assert told["memory_bytes"]["weights"] == 4 * told["parameters"]
    assert told["memory_bytes"]["optimiser (AdamW)"] == 8 * told["trained"]
    assert told["trained"] < told["parameters"]
    assert told["memory_bytes"]["features of frozen eyes, at most"] == 4e9
    assert told["wrong"] == []
    for where in ("DDP", "DeepSpeed", "FSDP2"):
        config = Path(told["launches"][where].split("--config_file ")[1].split()[0])
        assert config.is_file()
    assert not (tmp_path / "run").exists()


def test_adapters_are_counted_as_peft_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("peft")
    from mmreason.training.learner.adapters import select_trained_weights
    from mmreason.training.rl import PolicyModel, read_recipe

    path = recipe(tmp_path, weights="lora=rl.Lora(rank=4)")
    path.write_text(path.read_text().replace('freeze=("model.visual",),', ""))
    assert main(["train", "rl", str(path), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "features of frozen eyes, at most" in told["memory_bytes"]  # adapters leave them alone
    made = select_trained_weights(PolicyModel.load("nano"), read_recipe(path).weights)
    assert told["trained"] == sum(p.numel() for p in made.model.parameters() if p.requires_grad)


def test_a_run_ends_with_a_model_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(tmp_path, temperature=2.0, samples=8)  # so hot that rollouts differ
    assert main(["train", "rl", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 2 and told["learnt_something"] is True
    model = Path(told["model"])
    assert (model / "model.safetensors").is_file() and (model / "mmreason.json").is_file()
    assert main(["train", "report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    capsys.readouterr()
    # A finished run is not done again.
    assert main(["train", "rl", str(path)]) == 0
    assert "2 of 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "sets no `recipe"),
        ("1 / 0", "ZeroDivisionError"),
        ("from mmreason.training.rl import Recipe\nrecipe = 3", "sets no `recipe"),
    ],
)
def test_a_file_that_is_no_recipe(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(text)
    assert main(["train", "rl", str(path)]) == 2
    error = capsys.readouterr().err
    assert told in error and "wrong.py" in error and error.count("\n") == 1


def test_settings_that_contradict_each_other(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(tmp_path, more="objective=rl.ObjectiveSettings(formula='dr_grpo'),")
    assert main(["train", "rl", str(path)]) == 2
    assert "max_tokens" in capsys.readouterr().err
    assert main(["train", "rl", str(tmp_path / "none.py")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    # Ctrl-C comes to the same place, and is sent to `train nano` in every run of the tests.
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.full), (signal.SIGTERM, 143)],
)
def test_a_signal_saves_and_the_next_run_goes_on(tmp_path: Path, number: int, code: int) -> None:
    path = recipe(tmp_path, steps=400)
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "import sys; from mmreason.cli import main; sys.exit(main())",
            "train",
            "rl",
            str(path),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    log = tmp_path / "run" / "metrics.jsonl"
    limit_s = time.monotonic() + 120
    while time.monotonic() < limit_s and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.2)
    child.send_signal(number)
    child.communicate(timeout=120)
    assert child.returncode == code
    done = log.read_text().count("\n")
    assert 2 <= done < 400
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    assert json.loads((newest / "run.json").read_text())["step"] == done


@pytest.mark.parametrize("field", ["task", "held_out"])
def test_a_dry_run_refuses_a_task_that_the_run_could_not_use(
    field: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = recipe(tmp_path)
    text = path.read_text()
    if field == "task":
        text = text.replace('FrameTask(split="train", kinds=("count",))', '"probs.jsonl"')
    else:
        text = text.replace(
            "steps=2,", 'steps=2, evaluation=rl.EvaluationSettings(held_out="probs.jsonl"),'
        )
    path.write_text(text)
    assert main(["train", "rl", str(path), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert f"{field} must be a task, got 'probs.jsonl'" in error
    assert "docs/own_data.md" in error and error.count("\n") == 1


def test_the_folder_of_a_run_may_be_a_text(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(tmp_path)
    path.write_text(path.read_text().replace("Path(", "str("))
    assert main(["train", "rl", str(path), "--dry-run"]) == 0
    path.write_text(path.read_text().replace("str(", "len("))
    assert main(["train", "rl", str(path), "--dry-run"]) == 2
    assert "out must be the path of a folder" in capsys.readouterr().err


def test_a_run_whose_rollouts_all_earn_the_same_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """So cold that every rollout of a problem is the likeliest one."""
    path = recipe(tmp_path, temperature=1e-4)
    assert main(["train", "rl", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "2 of 2 steps done; no model is written" in out
    assert err.splitlines()[-1].startswith("error: nothing was learnt in 2 steps, and no model is")
    assert "step 1: nothing to learn from in this step: all rollouts of a problem earned the" in err
    assert not (tmp_path / "run" / "model").exists()
    assert main(["train", "rl", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["learnt_something"] is False and told["model"] is None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("objective=rl.ObjectiveSettings(kl=0.04),", "objective.kl must be Kl(...), got 0.04"),
        ("batching=True,", "batching must be BatchingSettings(...), got True"),
        ("report=rl.ReportSettings(trackers='wandb'),", "a tuple of texts, such as ('wandb',)"),
        ("learning_rate=1e-5,", "optimiser=OptimiserSettings(learning_rate=...)"),
        ("objective='dapo',", "objective=ObjectiveSettings(formula=...)"),
        ("evaluate_every=10,", "evaluation=EvaluationSettings(every=...)"),
        ("rate=10,", "there is no setting 'rate'; known: "),
    ],
)
def test_a_dry_run_refuses_settings_of_another_type(
    more: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "rl", str(recipe(tmp_path, more=more)), "--dry-run"]) == 2
    assert told in capsys.readouterr().err


def test_a_checkpoint_is_exported_as_a_model(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(
        tmp_path, temperature=2.0, samples=8, more="checkpoints=rl.CheckpointSettings(every=1),"
    )
    run = tmp_path / "run"
    assert main(["train", "rl", str(path)]) == 0
    capsys.readouterr()
    assert main(["train", "export", str(run), "--step", "1"]) == 0
    assert "the model as of step 1 is in " in capsys.readouterr().out
    first, last = run / "model-step-000001", run / "model"
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, last)]
    assert weights[0] != weights[1] and (first / "mmreason.json").is_file()
    # The newest one is the model that the run ended with.
    assert main(["train", "export", str(run), "--out", str(tmp_path / "newest"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2
    assert (tmp_path / "newest" / "model.safetensors").read_bytes() == weights[1]

    def refused(*words: str) -> str:
        assert main(["train", "export", *words]) == 2
        return capsys.readouterr().err

    assert "has no checkpoint of step 7; it has: 1, 2" in refused(str(run), "--step", "7")
    assert "is there already" in refused(str(run), "--step", "1")
    assert "has no checkpoint; is it the folder of a run?" in refused(str(tmp_path))
    path.write_text(path.read_text().replace("samples=8", "samples=3"))
    assert "samples was 8, is 3" in refused(str(run), "--out", str(tmp_path / "other"))
    (run / "recipe.json").unlink()
    assert "name it with --recipe" in refused(str(run), "--out", str(tmp_path / "other"))


OWN_DATA = """
from pathlib import Path

from mmreason.models.base import ClipRecipe
from mmreason.training.rewards import Truth
from mmreason.training.rl import EvaluationSettings, Recipe
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.videos import video_questions
from mmreason.video.types import Span

folder = Path({folder!r})
shown = [("good.mp4", None), ("gone.mp4", None), ("cut.mp4", None), ("good.mp4", Span(50.0, 60.0))]
problems = [
    Problem(id=f"p{{i}}", question="?", video=str(folder / name), span=span, truth=Truth({truth}))
    for i, (name, span) in enumerate(shown)
]
recipe = Recipe(
    task=video_questions(problems{many}, ClipRecipe(frames=4, leaf_s=4.0)),
    evaluation=EvaluationSettings(
        held_out=video_questions(problems[1:2], ClipRecipe(frames=4, leaf_s=4.0))
    ),
    out=folder / "run",
)
"""


def test_a_dry_run_opens_every_video(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    clips.write(tmp_path / "good.mp4", frames=20)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    path = tmp_path / "own.py"
    path.write_text(OWN_DATA.format(folder=str(tmp_path), truth='answer="b"', many=""))
    assert main(["train", "rl", str(path), "--dry-run"]) == 1
    out, err = capsys.readouterr()
    told = err.splitlines()
    assert "parameters" in out and len(told) == 4
    assert told[0].startswith("problem p1: ") and "gone.mp4" in told[0]
    assert told[1].startswith("problem p2: ") and "cut.mp4" in told[1]
    assert "the stretch 50 to 60 s is not in the video" in told[2]
    assert told[3].startswith("held out: problem p1: ")
    assert main(["train", "rl", str(path), "--dry-run", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == told
    text = path.read_text().replace("problems, ClipRecipe", "problems[:1], ClipRecipe")
    path.write_text(text.replace("problems[1:2]", "problems[:1]"))
    assert main(["train", "rl", str(path), "--dry-run"]) == 0


def test_a_dry_run_tells_of_problems_that_no_reward_applies_to(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clips.write(tmp_path / "good.mp4", frames=20)
    path = tmp_path / "own.py"
    text = OWN_DATA.format(folder=str(tmp_path), truth="", many="[:1]")
    path.write_text(text.replace("problems[1:2]", "problems[:1]"))
    assert main(["train", "rl", str(path), "--dry-run"]) == 1
    assert "no reward applies to 1 of 1 problems, the first is p0" in capsys.readouterr().err


def test_a_dry_run_opens_videos_as_the_task_does(tmp_path: Path) -> None:
    """Tasks of one's own may name videos as they like."""
    from dataclasses import replace

    from mmreason.training.rl.data_check import count_videos, find_faults
    from mmreason.training.tasks.mixture import Mixture
    from mmreason.video import VideoError
    from tests.fakes import tiny_rl

    plain = tiny_rl.colours(2)
    named = replace(plain, problems=[replace(one, video="reel 7") for one in plain.problems])

    def broken(problem: object) -> list[object]:
        raise VideoError("reel 7: no frame could be read")

    assert find_faults(plain) == find_faults(named) == [] and count_videos(named) == 1
    told = ["problem colour-0: reel 7: no frame could be read"]
    assert find_faults(replace(named, show=broken)) == told
    assert find_faults(Mixture(parts=((plain, 1), (replace(named, show=broken), 1)))) == told


def rows(folder: Path, *colours: str) -> Path:
    messages = [
        [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": colour}]
        for colour in colours
    ]
    path = folder / "train.json"
    path.write_text(json.dumps([{"messages": turns} for turns in messages]))
    return path


def test_a_data_set_is_trained_on_by_a_recipe_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path, out = rows(tmp_path, "red", "blue"), tmp_path / "run"
    line = ["train", "rl", str(path), "--out", str(out), "--steps", "1"]
    assert main([*line, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attempts"] == 64 and not out.exists()
    # An unknown model is refused before anything is sampled; the recipe lies there to be edited.
    assert main([*line, "--model", str(tmp_path / "none")]) == 2
    written = (out / "recipe.yaml").read_text()
    assert "answer: 1.0" in written and f"train: {path}" in written
    capsys.readouterr()
    assert main([*line]) == 2
    assert "is of a run with other settings; go on with it" in capsys.readouterr().err
    assert main(["train", "rl", str(out / "recipe.yaml"), "--steps", "3"]) == 2
    told = capsys.readouterr().err
    assert "--steps is for a data set; set steps in the recipe" in told and told.count("\n") == 1
