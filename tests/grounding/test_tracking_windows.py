"""Windows of bounded memory, recipes over scripted parts, and what goes wrong in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from mmreason.grounding import Box, Choice, Detection, Tube
from mmreason.grounding.detectors.scripted import ScriptedDetector
from mmreason.grounding.recipes import (
    choose_key_times,
    concept_masks_choose,
    detect_track_choose,
    seed_and_propagate,
)
from mmreason.grounding.tracking.numbering import number_crops
from mmreason.grounding.tracking.tracker import KalmanTracker
from mmreason.grounding.tracking.windows import TrackingError, plan_windows, track_in_windows
from mmreason.video.types import FrameBatch, VideoError, VideoInfo

SIZE_PX = (64, 36)


@dataclass
class FlatVideo:
    """A `FrameSource` of grey frames that remembers how many were read at once."""

    duration_s: float = 20.0
    fps_hz: float = 5.0
    broken_s: tuple[float, float] = (-1.0, -1.0)
    reads: list[int] = field(default_factory=list)
    content_hash: str = "flat"

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(
            path="flat", duration_s=self.duration_s, start_s=0.0, width_px=SIZE_PX[0],
            height_px=SIZE_PX[1], codec="none", mean_fps_hz=self.fps_hz, frame_count=None,
            rotation_deg=0, has_audio=False, backend="none", size_bytes=1,
        )  # fmt: skip

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        self.reads.append(len(times_s))
        wanted_s = np.asarray(times_s, np.float64)
        if ((wanted_s >= self.broken_s[0]) & (wanted_s <= self.broken_s[1])).any():
            raise VideoError("flat: cannot be decoded from 4 s on")
        shown_s = np.floor(wanted_s * self.fps_hz + 1e-6) / self.fps_hz
        count = len(wanted_s)
        return FrameBatch(
            pixels=np.full((count, SIZE_PX[1], SIZE_PX[0], 3), 90, np.uint8),
            times_s=shown_s,
            exact=np.ones(count, bool),
        )


def mover(times_s: np.ndarray, tube_id: str, y: float, present: slice = slice(None)) -> Tube:
    """A box of 8 pixels that goes from left to right, present in some of the frames."""
    there = np.zeros(len(times_s), bool)
    there[present] = True
    ways = np.linspace(0, SIZE_PX[0] - 8, len(times_s))
    boxes = [Box(x, y, x + 8, y + 8) if here else None for x, here in zip(ways, there, strict=True)]
    return Tube.from_boxes(times_s.tolist(), boxes, id=tube_id, label=f"{tube_id} dog")


class PickWord:
    """Chooses the tubes whose label has a word of the expression."""

    name = "by label"

    def __init__(self) -> None:
        self.frames: list[int] = []

    def choose(self, frames: FrameBatch, tubes: Sequence[Tube], expression: str) -> Choice:
        self.frames.append(len(frames))
        words = expression.split()
        return Choice(ids=tuple(tube.id for tube in tubes if tube.label.split()[0] in words))


TIMES_S = np.arange(100) / 5.0
TRUTH = (mover(TIMES_S, "red", 2), mover(TIMES_S, "blue", 22, slice(40, 90)))


@pytest.mark.parametrize("count", [1, 2, 7, 39, 40, 41, 200])
def test_windows_cover_every_frame_and_share_some(count):
    windows = plan_windows(np.arange(count) / 5, most_frames=20, overlap_s=1.0)
    covered = set()
    for start, stop in windows:
        assert 0 < stop - start <= 20
        covered |= set(range(start, stop))
    assert covered == set(range(count))
    assert all(later[0] < earlier[1] for earlier, later in pairwise(windows))


def test_identities_go_through_windows_and_the_choice_is_over_all_times():
    video, chooser = FlatVideo(), PickWord()
    result = detect_track_choose(
        video, TIMES_S, ScriptedDetector(truth=TRUTH, miss_rate=0.1, seed=1), KalmanTracker(),
        chooser, "dog", "the blue one", most_frames=20,
    )  # fmt: skip
    assert [tube.label for tube in result.tubes] == ["red dog", "blue dog"]
    assert result.choice == Choice(ids=("2",))
    (blue,) = result.chosen
    np.testing.assert_array_equal(blue.present, TRUTH[1].present)
    assert blue.observed[~blue.present].all()
    assert max(video.reads) <= 20 and chooser.frames == [8]
    assert result.frames_used == 108 and not result.notes
    assert result.settings["detector"] == "scripted" and result.settings["tracker"] == "kalman"
    assert result.settings["detector_settings"]["miss_rate"] == 0.1
    assert result.settings["tracker_settings"]["longest_gap_s"] == 3.0


def test_looking_once_a_second_finds_late_arrivals():
    looks: list[int] = []

    class Counting(ScriptedDetector):
        def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
            looks.append(len(frames))
            return ScriptedDetector.detect(self, frames, phrase)

    result = detect_track_choose(
        FlatVideo(), TIMES_S, Counting(truth=TRUTH), KalmanTracker(), None, "dog", "",
        redetect_s=1.0, most_frames=200,
    )  # fmt: skip
    assert looks == [20] and result.choice is None
    assert [tube.label for tube in result.tubes] == ["red dog", "blue dog"]
    assert result.tubes[1].span is not None and result.tubes[1].span.start_s == pytest.approx(8.0)


def test_three_hours_are_read_in_windows_and_tubes_stay_short():
    times_s = np.arange(0, 3 * 3600, 1.0)
    # Somebody new every minute.
    truth = tuple(
        replace(mover(times_s[i : i + 10], f"n{i}", 10), label="dog")
        for i in range(0, len(times_s), 60)
    )
    video = FlatVideo(duration_s=3 * 3600, fps_hz=1.0)
    result = detect_track_choose(
        video, times_s, _FastTruth(truth), KalmanTracker(), PickWord(), "dog", "the dog"
    )
    assert max(video.reads) <= 200
    assert len(result.tubes) == 180 and sum(len(tube) for tube in result.tubes) == 180 * 10
    assert result.choice is not None and len(result.choice.ids) == 12
    assert [note.kind for note in result.notes] == ["skipped"]


@dataclass(frozen=True)
class _FastTruth:
    """The only dog at each time, without noise."""

    truth: tuple[Tube, ...]
    name: str = "truth"

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        rows = []
        for time_s in frames.times_s.tolist():
            box = self.truth[min(int(time_s // 60), len(self.truth) - 1)].at(time_s)
            rows.append(() if box is None else (Detection(box=box, score=0.9, label="dog"),))
        return rows


class DyingTracker:
    """Tracks, but for one window, in which it stops; with what it had or without."""

    name = "dying"

    def __init__(self, dies_in: int, keeps: bool) -> None:
        self.calls, self.dies_in, self.keeps = 0, dies_in, keeps

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        self.calls += 1
        tubes = KalmanTracker().track(frames, seeds)
        if self.calls != self.dies_in:
            return tubes
        if not self.keeps:
            raise RuntimeError("CUDA out of memory")
        half = np.arange(len(frames)) < len(frames) // 2
        partial = [
            replace(t, present=t.present & half, observed=t.observed & half,
                    boxes_px=t.boxes_px * half[:, None])
            for t in tubes
        ]  # fmt: skip
        raise TrackingError("stopped at frame 10", partial)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_tracker_that_dies_in_the_middle_keeps_what_it_had_and_the_rest_goes_on(keeps):
    tracker = DyingTracker(dies_in=3, keeps=keeps)
    result = detect_track_choose(
        FlatVideo(), TIMES_S, ScriptedDetector(truth=TRUTH[:1]), tracker, PickWord(), "dog",
        "red", most_frames=20, overlap_s=1.0,
    )  # fmt: skip
    (note,) = result.notes
    assert note.kind == "failed" and ("is kept" in str(note)) == keeps
    assert ("out of memory" in str(note)) != keeps
    assert tracker.calls > 3
    seen_s = np.concatenate([tube.times_s[tube.present] for tube in result.tubes])
    assert {0.0, 19.8} <= set(seen_s.tolist())
    # Nothing is said of frames that nobody could track.
    dead = ((7.9 if keeps else 6.9) < TIMES_S) & (TIMES_S < 8.9)
    assert not set(TIMES_S[dead].tolist()) & set(result.times_s.tolist())
    assert all(tube.observed[~tube.present].all() for tube in result.chosen)


def test_absence_is_observed_only_where_somebody_looked():
    result = detect_track_choose(
        FlatVideo(), TIMES_S, ScriptedDetector(truth=TRUTH), KalmanTracker(), PickWord(), "dog",
        "blue", redetect_s=1.0,
    )  # fmt: skip
    (blue,) = result.chosen
    absent = ~blue.present
    assert 0 < blue.observed[absent].sum() < absent.sum()
    np.testing.assert_array_equal(blue.observed[absent], (np.arange(100) % 5 == 0)[absent])


def test_a_video_that_breaks_in_the_middle_gives_what_could_be_read():
    result = detect_track_choose(
        FlatVideo(broken_s=(8.0, 9.0)), TIMES_S, ScriptedDetector(truth=TRUTH[:1]),
        KalmanTracker(), None, "dog", "", most_frames=20, overlap_s=1.0,
    )  # fmt: skip
    assert {note.kind for note in result.notes} == {"failed"}
    assert "cannot be decoded" in str(result.notes[0])
    assert 8.4 not in result.times_s and 19.8 in result.times_s


def test_a_tracker_whose_tubes_do_not_fit_its_window_is_told():
    def short(frames: FrameBatch, seeds: object) -> tuple[Tube, ...]:
        return (mover(frames.times_s[:3], "x", 4),)

    tracked = track_in_windows(FlatVideo(), TIMES_S[:10], short)
    assert not tracked.tubes and "3 times for 10 frames" in str(tracked.notes[0])


def test_a_chooser_that_fails_leaves_the_tubes_and_one_that_invents_an_id_is_told():
    class Failing(PickWord):
        def choose(self, frames: FrameBatch, tubes: Sequence[Tube], expression: str) -> Choice:
            if expression == "fail":
                raise RuntimeError("no answer")
            return Choice(ids=("1", "77"))

    settings = (ScriptedDetector(truth=TRUTH[:1]), KalmanTracker(), Failing(), "dog")
    failed = detect_track_choose(FlatVideo(), TIMES_S, *settings, "fail")
    assert len(failed.tubes) == 1 and failed.choice is None and "no answer" in str(failed.notes[0])
    invented = detect_track_choose(FlatVideo(), TIMES_S, *settings, "any")
    assert invented.choice == Choice(ids=("1",)) and "77" in str(invented.notes[0])


def test_nothing_found_is_an_empty_choice_without_asking():
    chooser = PickWord()
    result = detect_track_choose(
        FlatVideo(), TIMES_S, ScriptedDetector(truth=()), KalmanTracker(), chooser, "dog", "a dog"
    )
    assert result.choice is not None and result.choice.ids == () and not chooser.frames


def test_times_denser_than_the_frames_count_each_frame_once():
    times_s = np.arange(0, 4, 0.05)
    result = detect_track_choose(
        FlatVideo(), times_s, ScriptedDetector(truth=TRUTH), KalmanTracker(), None, "dog", "",
        most_frames=20, overlap_s=0.3,
    )  # fmt: skip
    np.testing.assert_allclose(result.times_s, np.arange(20) / 5)
    assert len(result.tubes[0]) == 20


@pytest.mark.parametrize("bad", [[0.0, 0.0], [1.0, 0.5], [0.0, float("nan")]])
def test_times_that_do_not_rise_are_refused(bad):
    with pytest.raises(ValueError, match="rise"):
        detect_track_choose(
            FlatVideo(), bad, ScriptedDetector(truth=()), KalmanTracker(), None, "dog", ""
        )


def test_an_empty_phrase_is_refused():
    with pytest.raises(ValueError, match="phrase"):
        detect_track_choose(
            FlatVideo(), [0.0], ScriptedDetector(truth=()), KalmanTracker(), None, "  ", ""
        )


class Follower:
    """Follows the truth from any frame that has a seed, as a mask tracker would."""

    name = "follows truth"

    def __init__(self, truth: Sequence[Tube]) -> None:
        self.truth, self.seeds = truth, []

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        tubes = []
        for row, seed in ((row, seed) for row, found in enumerate(seeds) for seed in found):
            self.seeds.append((float(frames.times_s[row]), seed.box))
            for tube in self.truth:
                if tube.at(float(frames.times_s[row])) == seed.box:
                    boxes = [tube.at(float(time_s)) for time_s in frames.times_s]
                    tubes.append(Tube.from_boxes(frames.times_s.tolist(), boxes))
        return tuple(tubes)


@pytest.mark.parametrize("seed_row", [0, 55, 99])
def test_a_seed_is_carried_both_ways_through_windows(seed_row):
    truth, video = TRUTH[0], FlatVideo()
    seed_s = float(TIMES_S[seed_row])
    box = truth.at(seed_s)
    assert box is not None
    tracker = Follower([truth])
    result = seed_and_propagate(
        video, TIMES_S, tracker, [Detection(box=box)], seed_s, most_frames=20
    )
    assert result.choice is not None and result.choice.ids == ("1",)
    np.testing.assert_allclose(result.chosen[0].boxes_px, truth.boxes_px)
    assert not result.notes and max(video.reads) <= 20


def test_a_seed_that_leaves_is_not_started_again_elsewhere():
    truth = mover(TIMES_S, "red", 2, slice(40, 60))
    box = truth.at(10.0)
    assert box is not None
    tracker = Follower([truth])
    seed_and_propagate(FlatVideo(), TIMES_S, tracker, [Detection(box=box)], 10.0, most_frames=20)
    assert {time_s for time_s, seed in tracker.seeds if seed == box} == {10.0}


def test_a_tracker_that_cannot_follow_from_one_frame_is_told():
    seeds = [Detection(box=Box(0, 0, 8, 8)), Detection(box=Box(30, 20, 40, 30))]
    result = seed_and_propagate(FlatVideo(), TIMES_S, KalmanTracker(), seeds, 4.0)
    assert {note.kind for note in result.notes} == {"unsure"} and len(result.notes) == 2
    with pytest.raises(ValueError, match="no seeds"):
        seed_and_propagate(FlatVideo(), TIMES_S, KalmanTracker(), [], 4.0)


def test_concepts_are_joined_across_windows_and_one_is_chosen():
    class Concepts:
        name = "concepts"

        def track_concept(self, frames: FrameBatch, phrase: str) -> tuple[Tube, ...]:
            assert phrase == "dog"
            return tuple(
                Tube.from_boxes(
                    frames.times_s.tolist(), [tube.at(float(t)) for t in frames.times_s],
                    label=tube.label,
                )
                for tube in TRUTH
            )  # fmt: skip

    result = concept_masks_choose(
        FlatVideo(), TIMES_S, Concepts(), PickWord(), " dog ", "red", most_frames=20
    )
    assert len(result.tubes) == 2 and result.choice == Choice(ids=("1",))
    np.testing.assert_allclose(result.chosen[0].boxes_px, TRUTH[0].boxes_px)


def test_key_times_show_every_candidate():
    times_s = choose_key_times(TIMES_S, [mover(TIMES_S[80:], "late", 3), *TRUTH], 4)
    assert len(times_s) == 4
    assert any(time_s >= 16 for time_s in times_s) and any(time_s < 8 for time_s in times_s)


def test_numbers_are_drawn_on_the_key_frame_and_on_the_small_ones():
    frames = FlatVideo().frames_at([0.0, 10.0, 19.8])
    sheet = number_crops(frames, TRUTH, width_px=320)
    assert sheet.ids == ("red", "blue") and sheet.key_time_s == 10.0
    large = sheet.pixels[:180]
    assert (large == (230, 25, 75)).all(axis=2).any() and (large == (60, 180, 75)).all(axis=2).any()
    # The second is absent at first, so that its colour is on the key frame alone.
    small = sheet.pixels[180:]
    assert (small == (230, 25, 75)).all(axis=2).any()
    assert not (small == (60, 180, 75)).all(axis=2).any()


def test_numbers_on_a_frame_of_one_pixel_and_without_frames():
    one = FrameBatch(
        pixels=np.zeros((1, 1, 1, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, bool)
    )
    tube = Tube.from_boxes([0.0], [Box(0, 0, 1, 1)], id="a")
    assert number_crops(one, [tube]).pixels.shape == (960, 960, 3)
    with pytest.raises(ValueError, match="need a frame"):
        number_crops(FlatVideo().frames_at([]), [tube])
