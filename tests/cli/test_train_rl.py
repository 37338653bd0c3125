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

RECIPE = """
from pathlib import Path

from mmreason.training.nano.frame_tasks import FrameTask
from mmreason.training.rl import Lora, Recipe

recipe = Recipe(
    task=FrameTask(split="train", kinds=("count",)),
    out=Path({out!r}),
    steps={steps},
    problems_per_step=2,
    samples=2,
    freeze=("model.visual",),
    {more}
)
"""


def recipe(folder: Path, steps: int = 2, more: str = "") -> Path:
    path = folder / "recipe.py"
    path.write_text(RECIPE.format(out=str(folder / "run"), steps=steps, more=more))
    return path


def test_a_dry_run_counts_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "rl", str(recipe(tmp_path)), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["attempts"] == 8 and told["updates"] == 2
    assert told["memory_bytes"]["weights"] == 4 * told["parameters"]
    assert told["memory_bytes"]["optimiser (AdamW)"] == 8 * told["trained"]
    assert told["trained"] < told["parameters"]
    for where in ("DDP", "DeepSpeed", "FSDP2"):
        config = Path(told["launches"][where].split("--config_file ")[1].split()[0])
        assert config.is_file()
    assert not (tmp_path / "run").exists()


def test_adapters_are_counted_as_peft_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("peft")
    from mmreason.training.rl import Trainee, read_recipe
    from mmreason.training.rl.adapters import adapted

    path = recipe(tmp_path, more="lora=Lora(rank=4),")
    path.write_text(path.read_text().replace('freeze=("model.visual",),', ""))
    assert main(["train", "rl", str(path), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = adapted(Trainee.load("nano"), read_recipe(path))
    assert told["trained"] == sum(p.numel() for p in made.model.parameters() if p.requires_grad)


def test_a_run_ends_with_a_model_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(tmp_path)
    code = main(["train", "rl", str(path), "--json"])
    told = json.loads(capsys.readouterr().out)
    # Four attempts may all earn the same, which is another test.
    assert told["steps"] == 2 and code == (0 if told["learnt_something"] else 1)
    model = Path(told["model"])
    assert (model / "model.safetensors").is_file() and (model / "mmreason.json").is_file()
    assert main(["train", "report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    capsys.readouterr()
    # A finished run is not done again.
    assert main(["train", "rl", str(path)]) == code
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
    path = recipe(tmp_path, more="objective='dr_grpo',")
    assert main(["train", "rl", str(path)]) == 2
    assert "max_tokens" in capsys.readouterr().err
    assert main(["train", "rl", str(tmp_path / "none.py")]) == 2


@pytest.mark.slow
def test_ctrl_c_saves_and_the_next_run_goes_on(tmp_path: Path) -> None:
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
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    assert child.returncode == 130
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
        text = text.replace("steps=2,", 'steps=2, held_out="probs.jsonl",')
    path.write_text(text)
    assert main(["train", "rl", str(path), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert f"recipe: {field} must be a task, got 'probs.jsonl'" in error
    assert "docs/problems.md" in error and error.count("\n") == 1


def test_the_folder_of_a_run_may_be_a_text(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = recipe(tmp_path)
    path.write_text(path.read_text().replace("Path(", "str("))
    assert main(["train", "rl", str(path), "--dry-run"]) == 0
    path.write_text(path.read_text().replace("str(", "len("))
    assert main(["train", "rl", str(path), "--dry-run"]) == 2
    assert "out must be the path of a folder" in capsys.readouterr().err


def test_a_run_whose_attempts_all_earn_the_same_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """So cold that every attempt at a problem is the likeliest one."""
    path = recipe(tmp_path, more="temperature=1e-4,")
    assert main(["train", "rl", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "2 of 2 steps done" in out and "nothing was learnt from rewards" in err
    assert main(["train", "rl", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["learnt_something"] is False


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("kl=0.04,", "kl must be Kl(...), got 0.04"),
        ("lora=True,", "lora must be Lora(...), got True"),
        ("lora={'rank': 8},", "lora must be Lora(...), got {'rank': 8}"),
        ("trackers='wandb',", "trackers must be a tuple of texts, such as ('wandb',)"),
    ],
)
def test_a_dry_run_refuses_settings_of_another_type(
    more: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "rl", str(recipe(tmp_path, more=more)), "--dry-run"]) == 2
    assert told in capsys.readouterr().err


def test_a_run_that_had_something_to_teach_is_done(tmp_path: Path) -> None:
    """One step of the log whose attempts earned differently is enough."""
    from mmreason.cli.train_rl import _has_taught
    from mmreason.training.logs.run_log import RunLog
    from mmreason.training.rl.events import StepReport

    shares = {"flat": (1.0, 1.0), "once": (1.0, 0.5), "always": (0.0, 0.0)}
    for name, values in shares.items():
        log = RunLog(tmp_path / name)
        for step, share in enumerate(values, start=1):
            log.write(StepReport(step=step, steps=2, metrics={"groups/zero_variance": share}))
    assert {name: _has_taught(tmp_path / name) for name in shares} == {
        "flat": False, "once": True, "always": True
    }  # fmt: skip
    assert _has_taught(tmp_path / "no log of this process")
