"""The command lines with hostile text that every verb is given: what `test_text` runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.video import Span, Video
from tests.security.hostile_text import (
    EVIL,
    EVIL_NAME,
    IN_TEXT,
    MARKUP,
    SUBTITLE_TEXT,
)


@dataclass(frozen=True)
class Stage:
    """What the cases of the verbs work on; every name in it is hostile."""

    folder: Path
    clip: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / f"{EVIL_NAME}{name}"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return path


Case = Callable[[Stage], list[list[object]]]


def _ask(stage: Stage) -> list[list[object]]:
    rows = [
        {"id": IN_TEXT, "video": str(stage.clip), "question": f"What is {MARKUP}?"},
        {"id": "\x9b2", "video": f"{EVIL_NAME}.mp4", "question": "What?"},
    ]
    questions = stage.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    subtitles = stage.write(
        "said.srt", f"1\n00:00:00,000 --> 00:00:02,000\nThe budget {SUBTITLE_TEXT}\n"
    )
    report = stage.folder / f"{EVIL_NAME}.html"
    question = f"What is the budget {IN_TEXT}?"
    return [
        ["ask", stage.clip, question, "--subtitles", subtitles, "--html", report],
        ["ask", stage.clip, question, "--option", IN_TEXT, "--option", "red", "--short"],
        ["ask", stage.clip, question, "--budget-frames", 0],
        ["ask", stage.clip, EVIL],
        ["ask", stage.clip, "--dry-run"],
        ["ask", stage.clip, question, "--policy", EVIL],
        ["ask", stage.clip, question, "--reader", EVIL],
        ["ask", stage.folder / f"{EVIL_NAME}gone.mp4", "What?"],
        ["ask", "--questions", questions, "--out", stage.folder / f"{EVIL_NAME}out.jsonl"],
        ["ask", "--questions", stage.write("bad.jsonl", f"{IN_TEXT}\n"), "--out", "x.jsonl"],
    ]


def _inspect(stage: Stage) -> list[list[object]]:
    key = stage.write("key.json", json.dumps({"format": "mmreason-world-1", IN_TEXT: IN_TEXT}))
    sheet = stage.folder / f"{EVIL_NAME}.png"
    return [
        ["inspect", stage.clip, "--sheet", sheet],
        ["inspect", key],
        ["inspect", stage.clip, key, "--no-backends"],
        ["inspect", EVIL],
        ["inspect", f"{EVIL}*"],
        ["inspect", stage.clip, "--no-backends", "--sheet", stage.folder / f"{EVIL_NAME}.none"],
        ["inspect", key, "--debug"],
        ["inspect", f"--{EVIL}"],
    ]


def _cache(stage: Stage) -> list[list[object]]:
    path = stage.folder / f"{EVIL_NAME}.sqlite3"
    with Store.open(path) as store:
        store.put("key", {"text": EVIL}, video=IN_TEXT, model=IN_TEXT)
    text = stage.write("text.sqlite3", "this is no store" * 50)
    return [
        ["cache", "--store", path],
        ["cache", "--store", path, "--clear"],
        ["cache", "--store", f"{path}gone"],
        ["cache", "--store", text],
    ]


def _cache_merge(stage: Stage) -> list[list[object]]:
    path = stage.folder / f"{EVIL_NAME}.sqlite3"
    with Store.open(path) as store:
        store.put("key", {"text": EVIL}, video=IN_TEXT, model=IN_TEXT)
    text = stage.write("text.sqlite3", "this is no store" * 50)
    merged = stage.folder / "merged.sqlite3"
    return [["cache", "merge", source, "--store", merged] for source in (path, text, EVIL)]


def _train_report(stage: Stage) -> list[list[object]]:
    from mmreason.training.monitoring import RunLog
    from tests.fakes.made_up_runs import reports

    runs = [stage.folder / f"{EVIL_NAME}{number}" for number in (1, 2)]
    for run in runs:
        log = RunLog(run)
        for report in reports(2):
            log.write(replace(report, warnings=(EVIL,)))
    (runs[0] / "log.jsonl").open("a").write(f"{IN_TEXT}\n")
    page = stage.folder / f"{EVIL_NAME}compared.html"
    return [
        ["train", "report", runs[0]],
        ["train", "report", *runs, "--out", page],
        ["train", "report", stage.folder / EVIL],
    ]


def _train_rl(stage: Stage) -> list[list[object]]:
    recipe = stage.write("recipe.py", f"raise ValueError({IN_TEXT!r})\n")
    return [
        ["train", "rl", recipe, "--dry-run"],
        ["train", "rl", stage.write("none.py", "recipe = 1\n")],
        ["train", "rl", f"{EVIL}.py"],
        ["train", "rl", stage.write("evil.yaml", f"{json.dumps({IN_TEXT: 1})}\n")],
        ["train", "rl", stage.write("reward.yaml", json.dumps(_recipe_of({IN_TEXT: 1.0})))],
        ["train", "rl", stage.write("rows.json", json.dumps([{IN_TEXT: IN_TEXT}])), "--dry-run"],
    ]


def _recipe_of(rewards: dict[str, float]) -> dict[str, object]:
    """A recipe in YAML, which JSON is too."""
    return {"data": {"train": "rows.json"}, "out": "run", "rewards": rewards}


def _referring_data(stage: Stage) -> list[Path]:
    """Data sets whose names, texts, fields and attributes are anybody's."""
    images = [{"id": 1, "file_name": IN_TEXT, "width": 9, "height": 9}]
    annotation = {"image_id": 1, "category_id": 1, "expression": IN_TEXT}
    annotation |= {"attributes": {EVIL: IN_TEXT}}
    boxes = ([0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 99, 9], [EVIL, 0, 1, 1])
    annotations = [annotation | {"id": f"{IN_TEXT}{n}", "bbox": b} for n, b in enumerate(boxes)]
    document = {"images": images, "annotations": annotations}
    document |= {"categories": [{"id": 1, "name": IN_TEXT}]}
    row = {"file_name": IN_TEXT, "normal_caption": IN_TEXT, "solution": [IN_TEXT, 1, 2, 3]}
    rows = [row, {EVIL: EVIL}, row | {"width": 9, "height": 9, "solution": [0, 0, 5, 5]}]
    return [
        stage.write("coco.json", json.dumps(document)),
        stage.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows)),
        stage.write("unknown.json", json.dumps({EVIL: EVIL})),
        stage.write("refs.p", EVIL),
        stage.folder / EVIL,
    ]


def _data_check(stage: Stage) -> list[list[object]]:
    files = _referring_data(stage)
    options = ["--form", EVIL]
    cases = [["data", "check", file] for file in files]
    for rows in _training_rows(stage):
        cases.append(["data", "check", rows, "--workers", 1])
    return [*cases, ["data", "check", *files[:2]], ["data", "check", files[0], *options]]


def _train_sft(stage: Stage) -> list[list[object]]:
    rows = _training_rows(stage)[0]
    return [
        ["train", "sft", rows, "--dry-run", "--skip-bad", "--out", stage.folder / EVIL_NAME],
        ["train", "sft", stage.folder / f"{EVIL_NAME}gone.json"],
        ["train", "sft", rows, "--model", EVIL, "--dry-run"],
        ["train", "sft", stage.write("r.yaml", f"{MARKUP}: 1\n")],
    ]


def _training_rows(stage: Stage) -> list[Path]:
    """Rows of fine-tuning whose names, texts and fields are anybody's."""
    turns = [{"from": "human", "value": f"<video>{IN_TEXT}"}, {"from": "gpt", "value": IN_TEXT}]
    row = {"id": IN_TEXT, "video": f"{EVIL_NAME}gone.mp4", "conversations": turns, EVIL: IN_TEXT}
    foreign = {"from": EVIL, "value": EVIL}
    rows = [row, row, row | {"id": EVIL, "conversations": [foreign]}, {"messages": EVIL}, {EVIL: 1}]
    problem = {"id": IN_TEXT, "video": f"{EVIL_NAME}gone.mp4", "question": IN_TEXT, "answer": "x"}
    return [
        stage.write("llava.json", json.dumps(rows)),
        stage.write("problems.jsonl", json.dumps(problem) + "\n"),
        stage.write("bad.jsonl", json.dumps({EVIL: EVIL}) + "\n"),
        stage.write("table.csv", f"video,question,answer\n{EVIL_NAME}a.mp4,{EVIL_NAME},x\n"),
    ]


def _data_convert(stage: Stage) -> list[list[object]]:
    out = stage.folder / f"{EVIL_NAME}out.json"
    files = _referring_data(stage)
    cases = [["data", "convert", file, "--out", out, "--to", "coco"] for file in files]
    lines = stage.folder / f"{EVIL_NAME}out.jsonl"
    rows = _training_rows(stage)
    cases += [["data", "convert", file, "--out", lines, "--to", "problems"] for file in rows]
    cases += [["data", "convert", file, "--out", lines, "--to", "trl"] for file in files]
    return [
        *cases,
        ["data", "convert", files[0], "--out", out, "--to", "mot"],
        ["data", "convert", files[0], "--out", out, "--to", "coco", "--split", EVIL],
        ["data", "convert", files[0], "--out", out, "--to", EVIL],
        ["data", "convert", rows[0], "--out", out, "--to", "llava", "--from", EVIL],
        ["data", "convert", rows[0], "--out", out, "--to", "llava", "--media-root", EVIL],
    ]


def _search(stage: Stage) -> list[list[object]]:
    lines = f"1\n00:00:00,000 --> 00:00:02,000\nThe budget {SUBTITLE_TEXT}\n"
    Path(stage.clip).with_suffix(".srt").write_text(lines, encoding="utf-8", errors="replace")
    return [
        ["search", stage.clip, "the budget"],
        ["search", stage.clip, EVIL],
        ["search", stage.clip, "budget", "--channel", EVIL],
        ["search", stage.clip, "budget", "--store", stage.write("text.sqlite3", "no store" * 50)],
        ["search", f"{EVIL}.mp4", "budget"],
        ["search", stage.folder, "budget", "--html", stage.folder / f"{EVIL_NAME}hits.html"],
        ["search", stage.clip, "budget", "--since", EVIL],
        ["search", EVIL],
        ["search", stage.clip, "--like", stage.write("look.png", EVIL)],
        ["search", stage.clip, "--like", f"{EVIL}.png"],
        ["search", stage.clip, "--like", _picture(stage), "--encoder", EVIL],
        ["search", stage.clip, EVIL, "--encoder", EVIL],
    ]


def _picture(stage: Stage) -> Path:
    path = stage.folder / f"{EVIL_NAME}look.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


def _timeline(stage: Stage) -> list[list[object]]:
    lines = f"1\n00:00:00,000 --> 00:00:02,000\nThe budget {SUBTITLE_TEXT}\n"
    Path(stage.clip).with_suffix(".srt").write_text(lines, encoding="utf-8", errors="replace")
    page = stage.folder / f"{EVIL_NAME}timeline.html"
    return [
        ["timeline", stage.clip],
        ["timeline", stage.clip, "--html", page],
        ["timeline", stage.folder, "--html", stage.folder / f"{EVIL_NAME}all.html"],
        ["timeline", stage.folder / f"{EVIL_NAME}gone.mp4"],
    ]


def _transcribe(stage: Stage) -> list[list[object]]:
    lines = f"1\n00:00:00,000 --> 00:00:02,000\nThe budget {SUBTITLE_TEXT}\n"
    Path(stage.clip).with_suffix(".srt").write_text(lines, encoding="utf-8", errors="replace")
    return [
        ["transcribe", stage.clip],
        ["transcribe", stage.clip, "--format", "vtt", "--out", stage.folder / f"{EVIL_NAME}out"],
        ["transcribe", stage.clip, f"{EVIL}.mp4", "--format", "json"],
        ["transcribe", stage.clip, "--no-subtitles", "--asr", EVIL],
        ["transcribe", stage.clip, "--format", EVIL],
        ["transcribe", stage.clip, "--span", EVIL],
    ]


def _cache_video(verb: str) -> Case:
    """What was said and seen in a video, and names of files, are anybody's."""

    def case(stage: Stage) -> list[list[object]]:
        path = stage.folder / f"{EVIL_NAME}.sqlite3"
        record = MemoryRecord("speech", Span(0, 1), EVIL, IN_TEXT, IN_TEXT, speaker=IN_TEXT)
        with Video.open(stage.clip) as video, Store.open(path) as store:
            memory = VideoMemory.of_video(video, store)
            memory.add([record])
            memory.remember_file(stage.folder / f"{EVIL_NAME}.mp4")
        store_option = ["--store", path]
        extra = {"show": ["--records"], "forget": ["--sense", EVIL], "correct": [record.id, EVIL]}
        return [
            ["cache", verb, stage.clip, *extra[verb], *store_option],
            ["cache", verb, f"{EVIL}.mp4", *extra[verb], *store_option],
            ["cache", verb, stage.clip, *extra[verb], "--store", f"{path}gone"],
        ]

    return case


def _eval_public(stage: Stage) -> list[list[object]]:
    row = {"q_uid": EVIL_NAME, "question": IN_TEXT}
    row |= {f"option {number}": f"{IN_TEXT} {number}" for number in range(5)}
    stage.write("questions.json", json.dumps([row, {IN_TEXT: IN_TEXT}, IN_TEXT]))
    command = ["eval", "public", "egoschema", stage.folder, "--out", stage.folder / "run"]
    return [
        command,
        [*command, "--dry-run"],
        [*command, "--policy", EVIL],
        [*command, "--questions", stage.folder / EVIL],
        ["eval", "public", EVIL, stage.folder, "--out", stage.folder / "run"],
    ]


def _eval_problems(stage: Stage) -> list[list[object]]:
    row = {"id": IN_TEXT, "video": f"{EVIL_NAME}gone.mp4", "question": IN_TEXT, "answer": IN_TEXT}
    good = json.dumps(row | {"kind": IN_TEXT})
    rows = stage.write("rows.jsonl", f"{good}\n{json.dumps({EVIL: EVIL})}\n")
    unknown = stage.write("unknown.json", json.dumps([{EVIL: EVIL}]))
    folder = stage.folder / f"{EVIL_NAME}run"
    folder.mkdir()
    header = json.dumps({"format": 1, "model": IN_TEXT, "conversations": 2})
    (folder / "rows.jsonl").write_text(f"{header}\n{json.dumps({'id': EVIL})}\n")
    return [
        ["eval", "problems", rows, "--model", EVIL],
        ["eval", "problems", rows, "--dialect", EVIL],
        ["eval", "problems", rows, "--audit", EVIL],
        ["eval", "problems", rows, "--training-text", stage.folder / EVIL],
        ["eval", "problems", rows, "--judge", EVIL],
        ["eval", "problems", unknown],
        ["eval", "problems", stage.folder / EVIL],
        ["eval", "problems", "--compare", folder, folder],
    ]


def _eval_refadv(stage: Stage) -> list[list[object]]:
    rows = stage.write("rows.jsonl", f"{json.dumps({IN_TEXT: IN_TEXT})}\n")
    command = ["eval", "refadv", "--out", stage.folder / f"{EVIL_NAME}run", "--seed", 1]
    command += ["--items", 1]
    return [
        # A model whose name and words are hostile.
        [*command, "--model", EVIL, "--variants", "floor"],
        [*command, "--model", f"oracle:{EVIL}"],
        [*command, "--families", EVIL],
        [*command, "--variants", EVIL],
        [*command, "--rows", rows],
        [*command, "--rows", stage.folder / EVIL],
    ]


def _diagnose(stage: Stage) -> list[list[object]]:
    from tests.evaluation.refadv.made_outcomes import wrong

    outcome = wrong(IN_TEXT, subject=IN_TEXT, missed=(IN_TEXT,), cluster=IN_TEXT, note=IN_TEXT)
    results = stage.write("results.jsonl", f"{json.dumps(outcome.to_dict())}\n")
    answers = stage.write("answers.jsonl", f"{json.dumps({'item': IN_TEXT})}\n")
    items = stage.write("items.jsonl", f"{json.dumps({IN_TEXT: IN_TEXT})}\n")
    return [
        ["diagnose", results, "--report", stage.folder / f"{EVIL_NAME}.html"],
        ["diagnose", answers, "--items", items],
        ["diagnose", items],
        ["diagnose", stage.folder / EVIL],
        ["diagnose", results, "--compat", EVIL],
    ]


def _weights_list(stage: Stage) -> list[list[object]]:
    # Listed with its folder, since there is nothing in it.
    (stage.folder / "transnetv2").mkdir()
    return [["weights", "list", "--out", stage.folder]]


CASES: dict[str, Case] = {
    "ask": _ask,
    "search": _search,
    "timeline": _timeline,
    "scenes": lambda stage: [
        ["scenes", stage.clip],
        ["scenes", stage.clip, "--html", stage.folder / f"{EVIL_NAME}scenes.html"],
        ["scenes", stage.clip, "--export", stage.folder / f"{EVIL_NAME}.edl"],
        ["scenes", stage.clip, "--export", f"{EVIL}.none"],
        ["scenes", f"{EVIL}.mp4"],
    ],
    "skill": lambda _: [["skill", EVIL]],
    "caption": lambda stage: [
        ["caption", stage.clip],
        ["caption", stage.clip, "--model", EVIL],
        ["caption", f"{EVIL}.mp4"],
    ],
    "transcribe": _transcribe,
    "ground": lambda stage: [
        ["ground", stage.clip, f"star {IN_TEXT}", "--out", stage.folder / f"{EVIL_NAME}.png"],
        ["ground", stage.clip, f"nothing {IN_TEXT}"],
        ["ground", stage.clip, "star", "--out", f"{EVIL}.none"],
    ],
    "index": lambda stage: [
        ["index", stage.clip, stage.write("bad.mp4", EVIL)],
        ["index", stage.clip, "--levels", EVIL],
        ["index", stage.clip, "--with", EVIL],
        ["index", stage.clip, stage.write("bad.mp4", EVIL), "--with", "shots", "--dry-run"],
    ],
    "sample": lambda stage: [
        ["sample", stage.clip, "--n", 2, "--dump", stage.folder / f"{EVIL_NAME}pictures"],
        ["sample", stage.clip, stage.clip.parent, "--n", 2, "--sheet", stage.folder / EVIL_NAME],
        ["sample", stage.clip, "--plan", EVIL],
        ["sample", stage.clip, "--plan", "relevant", "--query", EVIL],
        ["sample", stage.clip, "--plan", "diverse", "--encoder", EVIL],
        ["sample", stage.clip, "--distinct", "--encoder", f"{EVIL_NAME}/x"],
    ],
    "inspect": _inspect,
    "cache show": lambda stage: [*_cache_video("show")(stage), *_cache(stage)],
    "cache forget": _cache_video("forget"),
    "cache correct": _cache_video("correct"),
    "cache merge": _cache_merge,
    "demo": lambda stage: [
        ["demo", "--out", stage.clip, "--model", EVIL],
        ["demo", "--check", 1, "--store", EVIL],
    ],
    "mcp": lambda stage: [["mcp", "--root", f"{EVIL_NAME}gone"]],
    "doctor": lambda stage: [["doctor"]],
    "weights list": _weights_list,
    "weights get": lambda stage: [["weights", "get", EVIL]],
    "train nano": lambda stage: [
        ["train", "nano", "--out", stage.folder, "--config", stage.write("c.json", EVIL)]
    ],
    "train rl": _train_rl,
    "train sft": _train_sft,
    "train export": lambda stage: [["train", "export", stage.folder / EVIL_NAME]],
    "train report": _train_report,
    "data navigation": lambda stage: [
        ["data", "navigation", "--out", f"{EVIL_NAME}x", "--length", EVIL],
    ],
    "data split": lambda stage: [
        ["data", "split", _training_rows(stage)[0], "--out", stage.folder / EVIL_NAME, "--by", EVIL]
    ],
    "data sample": lambda stage: [["data", "sample", file] for file in _training_rows(stage)],
    "data stats": lambda stage: [["data", "stats", file] for file in _training_rows(stage)],
    "data example": lambda stage: [["data", "example", "--out", stage.write("file", "x")]],
    "data check": _data_check,
    "data convert": _data_convert,
    "eval needle": lambda stage: [
        ["eval", "needle", "--out", stage.folder, "--policy", EVIL],
        ["eval", "needle", "--out", stage.folder, "--lengths", EVIL],
        ["eval", "needle", "--out", stage.folder, "--seeds", EVIL],
    ],
    "eval natural": lambda stage: [
        ["eval", "natural", "--out", stage.folder, "--policy", EVIL],
        ["eval", "natural", "--out", stage.folder, "--observer", EVIL],
        ["eval", "natural", "--out", stage.folder, "--language", EVIL],
        ["eval", "natural", "--out", stage.folder, "--lengths", EVIL],
    ],
    "eval public": _eval_public,
    "eval problems": _eval_problems,
    "eval refadv": _eval_refadv,
    "diagnose": _diagnose,
    "eval navigation": lambda stage: [["eval", "navigation", "--length", EVIL]],
    "eval nano": lambda stage: [["eval", "nano", "--calibrate", "--model", EVIL]],
    "bench attention": lambda stage: [["bench", "attention", "--out", stage.write("file", "x")]],
    "bench preprocess": lambda stage: [["bench", "preprocess", EVIL]],
    "bench prune": lambda stage: [["bench", "prune", EVIL]],
    "bench decode": lambda stage: [["bench", "decode", "--only", EVIL]],
    "bench encode": lambda stage: [["bench", "encode", "--out", stage.write("file", "x")]],
    "bench rl": lambda stage: [["bench", "rl", "--only", EVIL]],
}
