"""Ears, a reader of screens and a classifier for one reasoner, each loaded when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmreason.agent.passage_reader import load_passage_reader
from mmreason.language.fact_questions import Sense
from mmreason.memory.vector_index import Embedder
from mmreason.models.base import ChatModel
from mmreason.models.nano_guard import why_outside
from mmreason.senses import Senses, load_senses
from mmreason.types import UsageError
from mmreason.video.types import FrameSource

PROBED_FRAMES = 9
"""Small frames that tell a scripted world from other footage; one of them may lie in a cut."""
PROBED_SIZE_PX = (144, 80)
BY_NAME = "the senses were named by the caller"
SENSES_MODELS = ("auto", "senses")
"""Names in place of a model: nano looks at scripted worlds and the senses answer about all else; or
the senses answer about everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensesChoice:
    """Who answers about a video, and why.

    Example:
        >>> SensesChoice(reads=True, reason="no scripted world").reads
        True
    """

    reads: bool
    """Whether the senses answer, and not the model."""
    reason: str


class SensesReader:
    """The senses of a reasoner. Safe to share between threads.

    Example:
        >>> SensesReader(always=True).always
        True
    """

    def __init__(
        self,
        *,
        always: bool = False,
        load: Callable[[tuple[Sense, ...]], Senses] = load_senses,
        load_embedder: Callable[[], Embedder | None] | None = None,
        passage_reader: ChatModel | None = None,
    ):
        """`always` answers about scripted worlds too, which the model knows better. `load` gives
        the senses of these names, `load_embedder` what compares by meaning, or None; by default
        the packaged ones, as far as they are installed. `passage_reader` is a text model that
        chooses among the passages found (see `passage_reader.py`)."""
        self.always = always
        self.passage_reader = passage_reader
        self._load = load
        self._load_embedder = load_embedder or _load_packaged_embedder
        self._senses: dict[Sense, Senses] = {}
        self._embedder: Embedder | None = None
        self._has_embedder = False
        self._lock = threading.Lock()

    def choose(self, source: FrameSource) -> SensesChoice:
        """Whether the senses answer about this video. VideoError where it cannot be decoded."""
        if self.always:
            return SensesChoice(reads=True, reason=BY_NAME)
        reason = why_no_world(source)
        if not reason:
            return SensesChoice(reads=False, reason="the video shows a scripted world")
        return SensesChoice(reads=True, reason=f"the video is no scripted world: {reason}")

    def load(self, sense: Sense) -> Senses:
        """One sense; `Senses.missing` says why it cannot be used."""
        with self._lock:
            if sense not in self._senses:
                self._senses[sense] = self._load((sense,))
            return self._senses[sense]

    def embedder(self) -> Embedder | None:
        """What compares by meaning; None where it is not installed."""
        with self._lock:
            if not self._has_embedder:
                self._embedder, self._has_embedder = self._load_embedder(), True
            return self._embedder


def choose_senses(model: str, reader: str | None, *, names_models: bool) -> SensesReader | None:
    """The senses that answer where `model` is one of `SENSES_MODELS` and the caller names neither
    other models nor who leads them; None where models answer alone. `reader` names the text model
    that words what they found. UsageError for what does not go together, and for a reader that
    cannot be loaded."""
    if reader is not None and model not in SENSES_MODELS:
        raise UsageError(
            f"reader goes with model {' or '.join(map(repr, SENSES_MODELS))}, not {model!r}, which "
            "reads by itself"
        )
    if model not in SENSES_MODELS:
        return None
    if not names_models:
        words_by = None if reader is None else load_passage_reader(reader)
        return SensesReader(always=model == "senses", passage_reader=words_by)
    if model == "senses":
        raise UsageError("model 'senses' asks no model: leave out policy and other models")
    if reader is not None:
        raise UsageError(
            "reader words what the senses found: leave out policy, compat and other models"
        )
    return None


def why_no_world(source: FrameSource) -> str:
    """Why a video shows no scripted world, by a few small frames; empty where it may show one."""
    span = source.info.span
    # The middle of equal parts: the first and last frame of files are often black.
    shares = (np.arange(PROBED_FRAMES) + 0.5) / PROBED_FRAMES
    times_s = span.start_s + shares * span.duration_s
    return why_outside(source.frames_at(times_s.tolist(), PROBED_SIZE_PX).pixels)


def _load_packaged_embedder() -> Embedder | None:
    """MiniLM where its weights lie in the cache folder."""
    from mmreason.weights import WeightsMissingError, find_weights

    try:
        folder = find_weights("minilm-l6")
    except WeightsMissingError:
        return None
    # Here, since it loads torch.
    from mmreason.tools.text_embedder import load_embedder

    return load_embedder(str(folder))
