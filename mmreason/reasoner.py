"""The front door: ask a video, caption it, ground an expression in it.

Reasoner.load().ask("clip.mp4", "When do they talk about the budget?")
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.agent.batch import Result, drive_questions
from mmreason.agent.build_answer import FinishedRun, build_answer
from mmreason.agent.build_index import (
    IndexStep,
    caption_leaves,
    caption_levels,
    fill_memory,
    make_overview,
)
from mmreason.agent.driver import AgentRun, Driver, run_to_end, serve_requests
from mmreason.agent.hearing import hear_speech
from mmreason.agent.loop import answer_loop
from mmreason.agent.protocol import Inquiry
from mmreason.agent.provenance import id_of, tier_of
from mmreason.agent.question import Question
from mmreason.agent.quoting import SubtitleChoice, Transcript
from mmreason.agent.record_passages import CHANNEL_OF
from mmreason.agent.senses_reader import SENSES_MODELS, SensesReader, choose_senses
from mmreason.agent.senses_run import SensesRun
from mmreason.agent.stream import AnswerStream
from mmreason.grounding import Grounding
from mmreason.language.fact_questions import SENSES
from mmreason.language.validate import checked_options, checked_span
from mmreason.memory.caption_records import make_speech_records
from mmreason.memory.hierarchy import plan_leaves
from mmreason.memory.store import Store
from mmreason.memory.tree import Tree, TreeRecipe, plan_tree
from mmreason.memory.vector_index import Embed, Embedder
from mmreason.memory.video_memory import VideoMemory
from mmreason.models.base import ChatModel
from mmreason.models.options import ModelOptions
from mmreason.models.probe import find_probe_file
from mmreason.policies import Auto, Policy
from mmreason.policies.auto import describe_policy
from mmreason.policies.estimate import Estimate, estimate_cost, estimate_looks
from mmreason.policies.presets import Compat, find_preset
from mmreason.policies.stages import check_stages, stages_without
from mmreason.tool_calls import Skim
from mmreason.tools.calls import Roles
from mmreason.tools.toolbox import Toolbox
from mmreason.types import Answer, Budget, UsageError
from mmreason.video.inputs import VideoInput
from mmreason.video.reader import Video, keep_open
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameSource, Span, VideoError

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmreason.agent.grounding.request import Want


class Reasoner:
    """Models with a policy and a store of what they have said. Holds no video."""

    def __init__(
        self,
        model: ChatModel,
        *,
        observer: ChatModel | None = None,
        checker: ChatModel | None = None,
        policy: Policy | None = None,
        tree: TreeRecipe | None = None,
        store: Store | None = None,
        embed: Embed | Embedder | None = None,
        without: Iterable[str] = (),
        senses: SensesReader | None = None,
    ):
        """Use models that are already there; without `store` what they say is kept in memory.

        `model` decides where to look, where the policy asks a model, and plays the other roles
        too unless they are given: `observer` captions and looks, `checker` looks again at the
        evidence. The default policy is `Auto`, which chooses by model, question and video, and
        says what it chose; `without` leaves stages out of it: search, score, check, speech, screen,
        labels. `senses` answer about the videos that they choose, in place of the models. `embed`
        (texts to an array of a row each) lets policies search what was read by meaning beside the
        words; as an `Embedder`, which has a name, what it made is kept in the store. UsageError for
        a stage that is none, and for stages beside a policy, which takes its own.
        """
        stages = check_stages(without)
        if stages and policy is not None:
            raise UsageError(
                "without goes with the default policy; give another its own, such as "
                "ScriptedSearch(without=frozenset({'check'}))"
            )
        self.roles = Roles(observer or model, checker or observer or model, model)
        self.policy = policy or Auto(stages)
        self.tree = tree or TreeRecipe()
        self.store = Store.in_memory() if store is None else store
        self.embedder = Embedder("", embed) if callable(embed) else embed
        self.senses = senses
        self.ears = senses or SensesReader()
        """Hears for models where there are no subtitles."""

    @property
    def model(self) -> ChatModel:
        """The model that looks."""
        return self.roles.observer

    @classmethod
    def load(
        cls,
        model: str = "auto",
        *,
        observer: str | None = None,
        checker: str | None = None,
        policy: Policy | None = None,
        tree: TreeRecipe | None = None,
        compat: Compat | None = None,
        without: Iterable[str] = (),
        store: Store | str | Path | None = None,
        embed: Embed | Embedder | str | None = None,
        device_map: str | dict[str, int | str] | None = None,
        dtype: str = "auto",
        attn_implementation: str = "auto",
        served_model: str | None = None,
        api_key: str | None = None,
        options: ModelOptions | Mapping[str, Any] | None = None,
        probe: bool | None = None,
        reader: str | None = None,
    ) -> Reasoner:
        """Load "auto", "senses", "nano", a folder, a Hugging Face name, or the URL of a server (see
        `models.load`).

        With "auto" nano answers about scripted worlds, and what is heard, read and recognised is
        the answer about all other footage; with "senses" about all. What is said with other names
        and with a `policy`, `observer` or `compat` of the caller's is done by models alone.

        `observer` and `checker` name other models for these roles, `without` leaves stages out (see
        `Reasoner`), `embed` may be the name of a sentence embedder; the settings after `embed` are
        those of `model`, and `options` say how it is asked, such as `{"enable_thinking": False,
        "max_frames": 32}` (see `ModelOptions`).
        `compat="longvideo_r1"` sets tree, frames, tools and limits as the published weights of that
        agent expect them, `compat="nano"` as those that were trained on `mmreason data navigation`
        do. `store` is a `Store` or a file; by default the one in the user's cache folder. It knows
        a video by samples of its bytes, or by all of them where that was opened with
        `Video.open(path, full_hash=True)`.

        `reader` goes with "auto" and "senses": a text model ("notes-reader" or "smollm2-135m", both
        after `mmreason weights get smollm2-135m`, a folder, a Hugging Face name or the URL of a
        server) that chooses among the passages found and words the answer. Only words that stand in
        the passage it cites get through.

        How much is left to `model` (its tier) follows from the option `tier`, its name or its size.
        Where none of them tells, a server in the own network is probed with three tiny calls, once;
        `probe=True` probes any model, `probe=False` none.
        """
        from mmreason import models

        if compat is not None and (policy is not None or tree is not None):
            raise UsageError("compat sets policy and tree; give either compat or those")
        without = check_stages(without)  # before a model is loaded
        # Who names how it is to be looked at wants to have it looked at.
        is_led = policy is not None and not isinstance(policy, Auto)
        names_models = is_led or (compat, observer, checker) != (None,) * 3
        senses = choose_senses(model, reader, names_models=names_models)
        if model in SENSES_MODELS:
            model = "nano"

        if isinstance(embed, str):
            from mmreason.tools.text_embedder import load_embedder

            embed = load_embedder(embed)
        if store is None:
            store = Store.open_default()
        elif not isinstance(store, Store):
            store = Store.open(store)
        loaded = models.load(
            model,
            device_map=device_map,
            dtype=dtype,
            attn_implementation=attn_implementation,
            served_model=served_model,
            api_key=api_key,
            options=options,
            probe=probe,
            probe_file=find_probe_file(),
        )
        watcher = loaded if observer is None else models.load(observer)
        verifier = None if checker is None else models.load(checker)
        if compat is not None:
            preset = find_preset(compat)
            policy, tree = preset.policy, preset.tree
            watcher = watcher.with_clip(preset.adapt_clip(watcher.clip))
        # One model in both roles: the preset's frames hold for its decisions as well.
        decider = watcher if observer is None else loaded
        return cls(
            decider,
            observer=watcher,
            checker=verifier,
            policy=policy,
            tree=tree,
            store=store,
            embed=embed,
            without=without,
            senses=senses,
        )

    def ask(
        self,
        video: VideoInput | FrameSource,
        question: str,
        *,
        options: Sequence[str] | None = None,
        budget: Budget | None = None,
        subtitles: Subtitles | str | Path | None = "auto",
        seed: int = 0,
    ) -> Answer:
        """Answer a question about a video (a path, its bytes, a binary file, or an open `Video`,
        which stays open).

        `budget` is kept before every call (tokens are known only after a call: the largest so far
        is the forecast). `subtitles` are read already, a file, None for none, or "auto": a file
        beside the video, else a track inside it, is found and used. They are searched for where to
        look; lines that match the question are shown to models that read them, and quoted as the
        answer where no model has one.
        Raises UsageError for a question or options that cannot be used, VideoError for a video or
        subtitles that cannot be read.
        """
        stream = self.stream(
            video, question, options=options, budget=budget, subtitles=subtitles, seed=seed
        )
        for _ in stream:
            pass
        return stream.answer

    def stream(
        self,
        video: VideoInput | FrameSource,
        question: str,
        *,
        options: Sequence[str] | None = None,
        budget: Budget | None = None,
        subtitles: Subtitles | str | Path | None = "auto",
        seed: int = 0,
    ) -> AnswerStream:
        """`ask`, step by step: iterate over the steps, then read `.answer`."""
        checked = Question(
            video=video, text=question, options=checked_options(options), subtitles=subtitles
        )
        return AnswerStream(serve_requests(self.play(checked, budget=budget, seed=seed)))

    def play(
        self, question: Question, *, budget: Budget | None = None, seed: int = 0
    ) -> AgentRun[Answer]:
        """`ask` without performing anything: yields every `Step` as it happens and every
        `ModelRequest`, to which the caller sends the replies; returns the answer."""
        subtitles = SubtitleChoice.of(question.subtitles)
        return self._run(question, subtitles, budget or Budget(), seed)

    def ask_many(
        self,
        questions: Iterable[Question],
        *,
        budget: Budget | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> Iterator[Result]:
        """Answer many questions, `workers` at a time; results come as they are done.

        A question that fails is a `Failure`, and the others go on. Models that are asked together
        see bigger batches; answers do not depend on that. What several of them need is asked once.
        """

        def start(question: Question) -> AgentRun[Answer]:
            return self.play(question, budget=budget, seed=seed)

        return drive_questions(questions, start, workers)

    def index(
        self,
        video: VideoInput | FrameSource,
        levels: Sequence[str] | None = None,
        *,
        subtitles: Subtitles | str | Path | None = "auto",
    ) -> Iterator[IndexStep]:
        """Make what questions will look for, into the store; one item a stretch.

        Whole `levels` of the tree are captioned, or, as is usual for models other than nano (where
        it is "high"), leaves of half a minute are described. The memory of the video (`memory`)
        holds then what they tell, what the subtitles say, and scenes and root made of it.
        """
        if levels is None and self.model.tier == "nano":
            levels = ("high",)
        with keep_open(video) as source:
            toolbox, tree, model = self._toolbox(source), self._tree(source), self.model
            memory = self.memory(source)
            lines = SubtitleChoice.of(subtitles).for_video(source)
            memory.add(make_speech_records(lines) if lines else ())
            if levels is None:
                steps = caption_leaves(toolbox, plan_leaves(source.info.span, tree.cuts_s))
            else:
                steps = caption_levels(toolbox, tree, levels, self.policy.caption_needs)
            yield from fill_memory(memory, steps, model.name)
            for _ in memory.embed_records():
                pass
            make_overview(memory, model, self.store, writes_sums=levels is None)

    def memory(self, video: FrameSource) -> VideoMemory:
        """What is known of an open video: to be searched, and added to. Cues, not evidence."""
        return VideoMemory.of_video(
            video, self.store, model=self.model.name, embedder=self.embedder
        )

    def estimate(self, video: VideoInput | FrameSource, budget: Budget | None = None) -> Estimate:
        """What a question about this video would cost; decodes nothing and asks no model."""
        with keep_open(video) as source:
            tree, budget = self._tree(source), budget or Budget()
            if isinstance(self.policy, Auto) and tier_of(self.model, self.roles.reasoner) != "nano":
                return estimate_looks(tree, source.info, budget)
            return estimate_cost(tree, self.model.clip, source.info, budget)

    def caption(
        self, video: VideoInput | FrameSource, span: Span | tuple[float, float] | None = None
    ) -> str:
        """What the model says about a stretch of video (default: all of it): one text for a clip,
        one timed line a change for longer stretches that it watches frame by frame."""
        with keep_open(video) as source:
            span = checked_span(span, source.info)
            toolbox = self._toolbox(source)
            call = Skim(span=span)
            run = toolbox.perform([toolbox.prepare(call)])
            (observation,) = run_to_end(serve_requests(run))
        if observation.error is not None:
            raise VideoError(f"{source.info.path}: no caption for {span}: {observation.error}")
        return observation.text

    def ground(
        self,
        video_or_image: VideoInput | FrameSource | np.ndarray | Image,
        expression: str,
        *,
        span: Span | tuple[float, float] | None = None,
        want: Want = "box",
        at: float | None = None,
        fps: float = 5.0,
        max_targets: int = 1,
        grounder: str = "auto",
        budget: Budget | None = None,
    ) -> Grounding:
        """Where `expression` is in an image (a path, a Pillow image, a uint8 (H, W, 3) RGB array)
        or a video: for a "box" in the frame `at` seconds or in the middle of `span`; for a "tube"
        or "mask" through the span, `fps` frames a second. See docs/grounding.md for `grounder`. A
        round of the `budget` is one question to a model. Boxes are in pixels of the original frame;
        what was not checked is in `issues`. Raises UsageError or VideoError for unusable input.
        """
        from mmreason.agent.grounding.request import GroundRequest
        from mmreason.agent.grounding.run import ground_input

        request = GroundRequest(
            expression, want, span, at, fps, max_targets, grounder, budget or Budget()
        )
        return ground_input(self.roles, self.memory, video_or_image, request)

    def _run(
        self, question: Question, subtitles: SubtitleChoice, budget: Budget, seed: int
    ) -> AgentRun[Answer]:
        started, limit_s = time.perf_counter(), budget.seconds
        # Deadlines go by `monotonic`, as models take them; the cost by `perf_counter`.
        deadline_s = None if limit_s is None else time.monotonic() + limit_s
        with keep_open(question.video) as source:
            choice = None if self.senses is None else self.senses.choose(source)
            tree, roles = self._tree(source), self.roles
            # Subtitles that the policy may not use are not even looked for.
            is_deaf = "speech" in stages_without(self.policy)
            lines = None if is_deaf else subtitles.for_video(source)
            reads = choice is not None and choice.reads
            if lines is None and not is_deaf and self._may_hear(question, reads):
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                lines = yield from hear_speech(source, self.memory(source), self.ears, left_s)
            transcript = Transcript.search(question, lines)
            passages = transcript.notes if roles.reasoner.clip.reads_transcript else ()
            inquiry = Inquiry(
                question=question,
                tree=tree,
                leaf_s=self.model.clip.leaf_s,
                has_subtitles=bool(transcript.subtitles),
                transcript=passages,
                budget=budget,
                observer=id_of(roles.observer),
                checker=id_of(roles.checker),
                reasoner=id_of(roles.reasoner),
                tier=tier_of(roles.observer, roles.reasoner),
                takes_tools=roles.reasoner.takes_tools,
            )
            if self.senses is not None and choice is not None and choice.reads:
                senses_run = SensesRun(
                    inquiry=inquiry,
                    source=source,
                    memory=self.memory(source),
                    reader=self.senses,
                    reason=choice.reason,
                    transcript=transcript,
                    without=frozenset(stages_without(self.policy)),
                    started=started,
                    seed=seed,
                    store=self.store.path,
                )
                return (yield from senses_run.run())
            toolbox = self._toolbox(source, transcript, seed, deadline_s)
            loop = answer_loop(inquiry, self.policy)
            driver = Driver(loop, toolbox, roles, budget, seed, started)
            draft = transcript.complete((yield from driver.run()))
            finished = FinishedRun(
                inquiry=inquiry,
                draft=draft,
                trace=tuple(driver.trace),
                cost=driver.cost,
                started=started,
                policy=describe_policy(self.policy, inquiry, driver.trace),
                roles=roles,
                transcript=transcript,
                seed=seed,
            )
            return build_answer(finished, source, toolbox, self.store)

    def _may_hear(self, question: Question, reads: bool) -> bool:
        """Whether a recogniser stands in for subtitles: for models that read what is said, unless
        the caller wants no subtitles. The senses hear by themselves."""
        is_reader = self.roles.reasoner.clip.reads_transcript and self.model.tier != "nano"
        return is_reader and question.subtitles == "auto" and not reads

    def _toolbox(
        self,
        source: FrameSource,
        transcript: Transcript | None = None,
        seed: int = 0,
        deadline_s: float | None = None,
    ) -> Toolbox:
        if transcript is None:
            return Toolbox(source, self.roles, self.store)
        return Toolbox(
            source,
            self.roles,
            self.store,
            subtitles=transcript.subtitles,
            transcript=transcript.notes,
            seed=seed,
            embed=None if self.embedder is None else self.embedder.embed,
            deadline_s=deadline_s,
            memory=self.memory(source),
            hidden=frozenset(
                CHANNEL_OF[sense] for sense in SENSES if sense in stages_without(self.policy)
            ),
        )

    def _tree(self, source: FrameSource) -> Tree:
        fps_hz, recipe = source.info.mean_fps_hz, self.tree
        cuts_s: tuple[float, ...] = ()
        if recipe.shot_aligned and isinstance(source, Video):
            from mmreason.video.content import shots

            # The first shot begins with the video, which is no cut.
            cuts_s = tuple(span.start_s for span in shots.detect(source).spans[1:])
        return plan_tree(
            source.info.span,
            leaf_s=self.model.clip.leaf_s,
            frame_interval_s=1 / fps_hz if fps_hz > 0 else 0.0,
            depth=recipe.depth,
            branching=recipe.branching,
            cuts_s=cuts_s,
            overlap=recipe.overlap,
        )


def ask(
    video: VideoInput | FrameSource,
    question: str,
    *,
    model: str = "auto",
    options: Sequence[str] | None = None,
    budget: Budget | None = None,
    subtitles: Subtitles | str | Path | None = "auto",
    policy: Policy | None = None,
    store: Store | str | Path | None = None,
    seed: int = 0,
) -> Answer:
    """Load a model and ask one question; keep a `Reasoner` for more than one.

    `model`, `policy` and `store` are as for `Reasoner.load`, the rest as for `Reasoner.ask`.
    """
    reasoner = Reasoner.load(model, policy=policy, store=store)
    return reasoner.ask(
        video, question, options=options, budget=budget, subtitles=subtitles, seed=seed
    )
