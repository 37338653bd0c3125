"""What outlives a run stays as it is, whatever the code calls it.

Names and values here are those of runs that users have on disk: another value makes a checkpoint
refuse to go on, a log unreadable, or a run that is repeated give other tokens.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmreason.training.monitoring.run_log import RunLog
from mmreason.training.objectives import PUBLISHED, count, policy_loss
from mmreason.training.rl import StepReport, read_recipe, train
from mmreason.training.runs.settings import describe_settings
from tests.fakes import rl_runs, tiny_rl, token_batches

SHIPPED = Path(__file__).parents[3] / "training" / "nano" / "reinforced.py"
SETTINGS = {
    "task.kind": "'FrameTask'",
    "task.split": "'train'",
    "task.kinds": "#d2fe3da3cb58d5975f6296c5",
    "task.count": "100000",
    "model": "'runs/half_truths/model'",
    "held_out.kind": "'FrameTask'",
    "held_out.split": "'held-out'",
    "held_out.kinds": "#d2fe3da3cb58d5975f6296c5",
    "held_out.count": "100000",
    "seed": "0",
    "problems_per_step": "16",
    "samples": "8",
    "temperature": "1.0",
    "updates": "1",
    "sampler": "None",
    "stale_sampler": "False",
    "sampling_tokens": "12000",
    "objective": "'dapo'",
    "max_tokens": "None",
    "gdpo": "False",
    "stapo": "None",
    "dsdr": "None",
    "kl": "('Kl', [('coefficient', 0.01), ('estimator', 'k3')], ())",
    "correction": "'auto'",
    "overlong": "None",
    "mask_truncated": "False",
    "dynamic_sampling": "False",
    "dynamic_rounds": "3",
    "kind_scale_decay": "None",
    "learning_rate": "0.0001",
    "warmup_updates": "5",
    "weight_decay": "0.0",
    "betas": "[0.9, 0.999]",
    "max_gradient_norm": "1.0",
    "micro_tokens": "4000",
    "layout": "'padded'",
    "precision": "'no'",
    "gradient_checkpointing": "False",
    "lora": "None",
    "freeze": "['model.visual']",
    "max_skipped": "5",
}
OF_THE_MACHINE_OR_OF_CODE = ("python", "task.code", "held_out.code")
DATA = {
    "task.problems": "#bd799c8615b02f01bf7fb1cd",
    "stapo": "#edaae45fce28cf49a41b887b",
    "dsdr": "#9779e3f8061d414209c320b8",
}
METRICS = """
    advantage/max advantage/min component/right dsdr/diversity dsdr/entropy_loss dsdr/groups
    entropy/mean entropy/sampled eval/correct eval/reward failures/groups failures/rewards
    failures/samples groups/dropped groups/failed groups/flat groups/mixed groups/solved
    groups/zero_variance kl/reference kl/update length/max length/mean length/sequences
    length/truncated memory/peak_mb mismatch/gap_max mismatch/gap_mean mismatch/kl
    mismatch/reported optimiser/gradient_norm optimiser/learning_rate optimiser/skipped
    optimiser/without_signal policy/loss policy/ratio_max reward/correct reward/deviation
    reward/mean speed/rollout_s speed/tokens_per_s speed/train_s stapo/candidates stapo/silenced
    stapo/silenced_share stapo/threshold turns/mean
"""
CHECKPOINT = ["manifest.json", "model.safetensors", "optimizer.bin", "random_states_0.pkl"]
STATE = """
    step cursor updates skipped skipped_in_row fingerprint settings learnt without_signal why
    kind_scales best since_best versions
"""
SAMPLE = """
    step problem question wanted sample reward components correct advantage truncated sequences
"""
LOSSES = {
    "reinforce": 0.259294528227174,
    "rloo": 0.9723544808519027,
    "grpo": -0.0957328785667731,
    "bnpo": -0.29696966332896946,
    "dapo": -0.3028146433769095,
    "dr_grpo": -0.13920452968545444,
    "gspo": -0.09531015687687605,
    "gspo_token": -0.09531015687687605,
    "cispo": 0.14156960772978638,
    "sapo": -0.30882642561775303,
    "luspo": -1.0961200232062822,
    "gmpo": -0.10447725888067325,
    "vespo": 0.15471373653196868,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StepReport]]:
    """Two steps with everything switched on, and their log."""
    out = tmp_path_factory.mktemp("pins") / "run"
    reports = list(train(rl_runs.recipe("everything", out, steps=2)))
    log = RunLog(out)
    for report in reports:
        log.write(report)
    return out, reports


def test_a_shipped_recipe_is_described_by_the_same_names_and_values() -> None:
    settings = describe_settings(read_recipe(SHIPPED))
    rest = {name: v for name, v in settings.items() if name not in OF_THE_MACHINE_OR_OF_CODE}
    assert rest == SETTINGS
    assert set(OF_THE_MACHINE_OR_OF_CODE) <= set(settings)


def test_problems_and_parts_of_a_recipe_keep_their_digests() -> None:
    settings = describe_settings(rl_runs.recipe("everything", Path("anywhere")))
    assert {name: settings[name] for name in DATA} == DATA


def test_a_step_tells_the_same_metrics(run: tuple[Path, list[StepReport]]) -> None:
    assert sorted(run[1][-1].metrics) == METRICS.split()


def test_a_checkpoint_has_the_same_files_and_state(run: tuple[Path, list[StepReport]]) -> None:
    folder = run[0] / "checkpoints" / "step-000002"
    assert sorted(path.name for path in folder.iterdir()) == [*CHECKPOINT, "run.json"]
    state = json.loads((folder / "run.json").read_text())
    assert list(state) == STATE.split()
    assert (state["step"], state["cursor"], state["updates"], state["learnt"]) == (2, 15, 4, 2)


def test_a_logged_rollout_has_the_same_keys_and_roles(run: tuple[Path, list[StepReport]]) -> None:
    line = json.loads((run[0] / "samples.jsonl").read_text().splitlines()[0])
    assert list(line) == SAMPLE.split()
    assert [token[:2] for token in line["sequences"][0]] == [
        *(["say", 0], ["it", 0], ["please", 0], ["green", 0]),
        *(["it", 1], ["green", 1], ["white", 1], ["blue", 1]),
    ]


def test_seeds_give_the_same_tokens() -> None:
    made = tiny_rl.policy()
    prompts = [
        made.codec.encode_prompt(tiny_rl.show(problem)) for problem in tiny_rl.colours(3).problems
    ]
    assert [row.token_ids for row in tiny_rl.sequences(made, prompts)] == [
        (2, 3, 5, 8, 6, 4, 7, 6, 7),
        (2, 3, 4, 6, 0, 2, 2, 2, 6, 1),
        (2, 3, 4, 4, 7, 8, 1),
    ]


def test_updates_have_the_same_loss(run: tuple[Path, list[StepReport]]) -> None:
    first, second = (report.metrics for report in run[1])
    assert first["policy/loss"] == pytest.approx(1.871575117111206, rel=1e-4)
    assert second["policy/loss"] == pytest.approx(-2.0141022205352783, rel=1e-4)
    assert first["optimiser/gradient_norm"] == pytest.approx(23.331083297729492, rel=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_objectives_have_the_same_loss(name: str) -> None:
    batch = token_batches.random_batch(5)
    denominator = count(batch.mask, PUBLISHED[name].aggregation, max_tokens=8)
    loss = policy_loss(batch, PUBLISHED[name], denominator)
    assert loss.item() == pytest.approx(LOSSES[name], rel=1e-12)
