"""The public benchmarks that can be read, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmreason.evaluation.public import strict_rules
from mmreason.evaluation.public.adapter import BenchmarkFolder
from mmreason.evaluation.public.cgbench import read_cgbench
from mmreason.evaluation.public.egocentric import read_egoschema, read_hourvideo
from mmreason.evaluation.public.items import BenchmarkQuestions
from mmreason.evaluation.public.longvideobench import read_longvideobench
from mmreason.evaluation.public.lvbench import read_lvbench
from mmreason.evaluation.public.mlvu import read_mlvu
from mmreason.evaluation.public.nextqa import read_nextqa
from mmreason.evaluation.public.strict_rules import StrictRule
from mmreason.evaluation.public.videomme import read_videomme, read_videomme_v2
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicBenchmark:
    """A benchmark: how its files are read and how it reads replies itself.

    Example:
        >>> find_benchmark("lvbench").title
        'LVBench'
    """

    name: str
    title: str
    read: Callable[[BenchmarkFolder], BenchmarkQuestions]
    strict_rule: StrictRule
    averages_categories: bool = False
    """Whether its authors report the mean over categories, each counting the same."""


BENCHMARKS = (
    PublicBenchmark(
        name="videomme",
        title="Video-MME",
        read=read_videomme,
        strict_rule=strict_rules.first_capital,
    ),
    PublicBenchmark(
        name="videomme-v2",
        title="Video-MME-v2",
        read=read_videomme_v2,
        strict_rule=strict_rules.first_capital_v2,
    ),
    PublicBenchmark(
        name="lvbench",
        title="LVBench",
        read=read_lvbench,
        strict_rule=strict_rules.bracketed_letter,
    ),
    PublicBenchmark(
        name="longvideobench",
        title="LongVideoBench",
        read=read_longvideobench,
        strict_rule=strict_rules.first_capital_of_five,
    ),
    PublicBenchmark(
        name="mlvu",
        title="MLVU",
        read=read_mlvu,
        strict_rule=strict_rules.letter_before_bracket,
        averages_categories=True,
    ),
    PublicBenchmark(
        name="egoschema",
        title="EgoSchema",
        read=read_egoschema,
        strict_rule=strict_rules.letter_alone,
    ),
    PublicBenchmark(
        name="nextqa",
        title="NExT-QA",
        read=read_nextqa,
        strict_rule=strict_rules.letter_alone,
    ),
    PublicBenchmark(
        name="cgbench",
        title="CG-Bench",
        read=read_cgbench,
        strict_rule=strict_rules.json_result,
    ),
    PublicBenchmark(
        name="hourvideo",
        title="HourVideo",
        read=read_hourvideo,
        strict_rule=strict_rules.first_letter,
    ),
)


def find_benchmark(name: str) -> PublicBenchmark:
    """The benchmark of that name. UsageError for any other."""
    for benchmark in BENCHMARKS:
        if benchmark.name == name:
            return benchmark
    names = ", ".join(benchmark.name for benchmark in BENCHMARKS)
    raise UsageError(f"{name!r} is no public benchmark; they are {names}")


def load_questions(
    benchmark: PublicBenchmark,
    folder: Path,
    *,
    videos: Path | None = None,
    questions: Path | None = None,
) -> BenchmarkQuestions:
    """Read the published files in `folder`. `videos` is where the videos are, if elsewhere;
    `questions` the file of questions, where the folder has several.

    Raises UsageError where there is no file of questions or none of its rows can be read; single
    rows that cannot be read, and videos that are not there, are told by the result.

    Example:
        >>> load_questions(find_benchmark("lvbench"), Path("LVBench"))  # doctest: +SKIP
        BenchmarkQuestions(benchmark='lvbench', files=(PosixPath('LVBench/...'),), items=(...))
    """
    return benchmark.read(BenchmarkFolder.of(folder, videos=videos, questions=questions))
