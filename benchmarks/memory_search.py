"""How long a search of a video's memory takes, and how often it finds the right line.

    python benchmarks/memory_search.py --embedder FOLDER_OR_NAME

100,000 records drawn from a vocabulary with the frequencies of a language; queries of rare words,
of whole lines, and of the commonest words. Times are of the whole search, the query's embedding
included. Without --embedder only words are searched. Prints a Markdown table and writes it to
`benchmarks/results/memory_search.md`. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmreason.memory.records import MemoryQuery, MemoryRecord
from mmreason.memory.vector_index import Embedder, make_nonsense
from mmreason.memory.video_memory import VideoMemory
from mmreason.video.types import Span

RESULTS = Path(__file__).parent / "results" / "memory_search.md"
RECORDS = 100_000
VOCABULARY = 20_000
WORDS = 25
QUERIES = 200
TARGET_MS = 50.0
SYLLABLES = [a + b for a in ("ch", "sh", "tr", "br", "kl", "gr", "st", "pl") for b in "aeiou"]
"""Not those of `make_nonsense`, whose words are to stand nowhere."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one kind of query."""

    kind: str
    milliseconds: np.ndarray
    first_share: float | None
    """Share of queries whose own line came first; None where they have none."""
    found_share: float

    def to_row(self) -> str:
        median, high = np.percentile(self.milliseconds, [50, 95])
        cells = (
            self.kind,
            f"{median:.1f}",
            f"{high:.1f}",
            "yes" if high < TARGET_MS else "no",
            "" if self.first_share is None else f"{self.first_share:.0%}",
            f"{self.found_share:.0%}",
        )
        return f"| {' | '.join(cells)} |"


def draw_texts(count: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """(vocabulary from the commonest word down, texts): word k has a share of about 1 / k."""
    draw = random.Random(seed)
    # Three times as many as needed, since words come out twice.
    drawn = ("".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(3 * VOCABULARY))
    vocabulary = list(dict.fromkeys(drawn))[:VOCABULARY]
    # Three above the rank, or the commonest words would fill every line.
    weights = list(itertools.accumulate(1 / (k + 3) for k in range(len(vocabulary))))
    texts = [" ".join(draw.choices(vocabulary, cum_weights=weights, k=WORDS)) for _ in range(count)]
    return vocabulary, texts


def fill_memory(texts: Sequence[str], embedder: Embedder | None) -> VideoMemory:
    """The texts as captions of a second each."""
    records = [
        MemoryRecord("event", Span(i, i + 1), text, "frames", "drawn")
        for i, text in enumerate(texts)
    ]
    memory = VideoMemory(model="drawn", embedder=embedder)
    memory.add(records)
    return memory


def with_drawn_vectors(embedder: Embedder, texts: set[str]) -> Embedder:
    """The embedder, which gives random vectors for `texts` and works for all else: to embed them
    all would take an hour, and the time of a search is the same."""
    draw = np.random.default_rng(1)
    width = embedder.embed_texts(["a"]).shape[1]

    def embed(batch: Sequence[str]) -> np.ndarray:
        vectors = draw.standard_normal((len(batch), width), np.float32)
        real = [i for i, text in enumerate(batch) if text not in texts]
        if real:
            vectors[real] = embedder.embed_texts([batch[i] for i in real])
        return vectors

    return Embedder(embedder.name, embed)


def time_queries(memory: VideoMemory, kind: str, queries: Sequence[tuple[str, str]]) -> Timing:
    """Search for each (query, its own text or nothing)."""
    milliseconds: list[float] = []
    firsts = answered = 0
    for query, text in queries:
        started = time.perf_counter()
        hits = memory.search(MemoryQuery(query)).hits
        milliseconds.append(1000 * (time.perf_counter() - started))
        answered += bool(hits)
        firsts += bool(hits) and hits[0].record.text == text
    first_share = firsts / len(queries) if queries[0][1] else None
    return Timing(kind, np.array(milliseconds), first_share, answered / len(queries))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--embedder", help="folder or Hugging Face name of a sentence embedder")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()

    embedder = None
    vocabulary, texts = draw_texts(options.records)
    draw = random.Random(2)
    queried = draw.sample(texts, QUERIES)
    if options.embedder:
        from mmreason.tools.text_embedder import load_embedder

        embedder = with_drawn_vectors(load_embedder(options.embedder), set(texts) - set(queried))
    memory = fill_memory(texts, embedder)
    started = time.perf_counter()
    assert len(memory) == options.records
    read_s = time.perf_counter() - started
    for _ in memory.embed_records():
        pass
    memory.search(MemoryQuery(vocabulary[-1]))  # measures the floor

    ranks = {word: rank for rank, word in enumerate(vocabulary)}
    kinds = {
        "3 rare words of a line": [(_take_rare(text, ranks), text) for text in queried],
        "8 words of a line": [(" ".join(text.split()[:8]), text) for text in queried],
        "a line of 25 words": [(text, text) for text in queried],
        "5 of the 60 commonest words": [
            (" ".join(draw.sample(vocabulary[:60], 5)), "") for _ in range(QUERIES)
        ],
        "nonsense": [(query, "") for query in make_nonsense(QUERIES)],
    }
    timings = [time_queries(memory, kind, queries) for kind, queries in kinds.items()]
    page = format_page(timings, options.records, read_s, embedder)
    print(page)
    options.out.write_text(page, encoding="utf-8")


def format_page(
    timings: Sequence[Timing], records: int, read_s: float, embedder: Embedder | None
) -> str:
    """The table with what it was measured on."""
    lines = [
        "# Searching a memory of a video",
        "",
        f"`python benchmarks/memory_search.py{' --embedder NAME' if embedder else ''}`: "
        f"{records:,} records of {WORDS} words, {QUERIES} queries a row, "
        f"{embedder.name if embedder else 'words alone'}; {platform.machine()}, Python "
        f"{platform.python_version()}, one thread. Target: 95th percentile below "
        f"{TARGET_MS:.0f} ms. Reading the records and making the index of words, once a process: "
        f"{read_s:.1f} s.",
        "",
        "| query | median, ms | p95, ms | below target | own line first | found anything |",
        "| --- | --- | --- | --- | --- | --- |",
        *(timing.to_row() for timing in timings),
        "",
        "Vectors of all records but those that are looked for are random: the time is that of "
        "real ones. What meaning finds is in the tests (`tests/memory`).",
        "",
    ]
    return "\n".join(lines)


def _take_rare(text: str, ranks: dict[str, int]) -> str:
    """Its three rarest words."""
    return " ".join(sorted(text.split(), key=ranks.__getitem__)[-3:])


if __name__ == "__main__":
    main()
