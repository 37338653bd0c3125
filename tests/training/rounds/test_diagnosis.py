"""What the next round is of: the table of weights, quotas that add up, nothing filled in secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.training.rounds.diagnosis import KindRecord, allot_quotas, select_in_band, weigh_kinds
from mmreason.types import UsageError

COUNTS = st.integers(0, 50)
FOUND = st.dictionaries(
    st.sampled_from(["count", "order", "motion", "text", "box"]),
    st.builds(lambda r, w, u: KindRecord(right=r, wrong=w, unknown=u), COUNTS, COUNTS, COUNTS),
    min_size=1,
)


@pytest.mark.parametrize(
    ("right", "weight"),
    [(699, 2.0), (700, 1.5), (749, 1.5), (750, 1.0), (850, 0.8), (900, 0.5)],
)
def test_identity_51_weights_at_the_steps(right: int, weight: float) -> None:
    """Against a kind of accuracy 0, whose weight is 2."""
    found = weigh_kinds(
        {"this": KindRecord(right=right, wrong=1000 - right), "none": KindRecord(right=0, wrong=9)}
    )
    assert found["this"] / found["none"] == pytest.approx(weight / 2.0, rel=1e-12)


@given(FOUND, st.integers(1, 5000))
def test_identity_51_quotas_add_up(found: dict[str, KindRecord], count: int) -> None:
    judged = {kind for kind, one in found.items() if one.right + one.wrong}
    if not judged:
        with pytest.raises(UsageError):
            allot_quotas(found, count)
        return
    drawn, share = allot_quotas(found, count), weigh_kinds(found)
    assert sum(drawn.values()) == count
    assert set(drawn) == judged
    assert sum(share.values()) == pytest.approx(1.0)
    assert all(abs(drawn[kind] - count * share[kind]) < 1 for kind in judged)


@given(FOUND, COUNTS)
def test_identity_51_unknown_verdicts_count_for_nothing(
    found: dict[str, KindRecord], more: int
) -> None:
    clouded = {
        kind: KindRecord(right=one.right, wrong=one.wrong, unknown=one.unknown + more)
        for kind, one in found.items()
    }
    assert weigh_kinds(found) == weigh_kinds(clouded)


def test_identity_51_nothing_is_filled_up_unless_asked() -> None:
    agreement = {"easy": 0.9, "low": 0.3, "mid": 0.5, "high": 0.8, "hard": 0.29}
    told = select_in_band(agreement, 5)
    assert (told.in_band, told.refilled, told.shortfall) == (("low", "mid", "high"), (), 2)
    filled = select_in_band(agreement, 4, refill_seed=1)
    assert filled.in_band == told.in_band
    assert len(filled.refilled) == 1 and filled.shortfall == 0
    assert set(filled.refilled) <= {"easy", "hard"}
    assert select_in_band(agreement, 2).in_band == ("low", "mid")
    assert select_in_band(agreement, 9, refill_seed=1).shortfall == 4


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="0 or more"):
        KindRecord(right=-1, wrong=2)
