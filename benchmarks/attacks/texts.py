"""Foreign text on its way to a terminal, to JSON and to pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from benchmarks.attacks.harness import Attack, Limits, NotTriedError, cli_call, find_fault
from benchmarks.attacks.material import QUESTION, Bench, small_world
from benchmarks.attacks.servers import Loopback, completion, http

TERMINAL, PAGES, BROWSER = "terminal text", "HTML", "HTML in a browser"
LIMITS = Limits(cpu_s=15, grown_mb=800)
HOSTILE = "x\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202etxt\u2066\x08\r[/x][bold red]red[link=http://x]"
_RAW = ("\x1b]0;PWNED", "\x1b[2J", "\x9b31m", "\u202e", "\u2066", "\x08")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell")


def _find_raw(text: str) -> str:
    """What of `HOSTILE` stands in `text` as it is."""
    for mark in _RAW:
        if mark in text:
            return f"{mark!r} was printed as it is"
    return ""


def _verbs(bench: Bench) -> dict[str, list[str]]:
    """Command lines by what is hostile in them; files are made by `_write_files`."""
    video, world = str(bench.clip), str(bench.world)
    # A slash would make a folder of it.
    hostile_name = HOSTILE.replace("/", "_")
    command = ["ask", world, QUESTION, "--store", "s"]
    return {
        "ask: the question": ["ask", world, f"What {HOSTILE}?", "--store", "s"],
        "ask: an option": [*command, "--option", HOSTILE, "--option", "red"],
        "ask: the file's name": ["ask", f"{hostile_name}.mp4", QUESTION, "--store", "s"],
        "ask: a file that is not there": ["ask", f"{HOSTILE}.mp4", QUESTION],
        "ask: the name of a world": ["ask", "named.json", QUESTION, "--store", "s"],
        "ask: a key of a world": ["ask", "key.json", QUESTION, "--store", "s"],
        "ask: subtitles": [
            *command[:2],
            "What is said about the star?",
            "--subtitles",
            "h.srt",
            "--store",
            "s",
        ],
        "ask: subtitles that are not there": [*command, "--subtitles", HOSTILE],
        "ask: the model's name": [*command, "--model", HOSTILE],
        "ask: the model's type": [*command, "--model", "./typed"],
        "ask: a policy": [*command, "--policy", HOSTILE],
        "ask: the report's name": [*command, "--html", f"{hostile_name}.html"],
        "ask: the report's folder": [*command, "--html", f"{video}/{HOSTILE}.html"],
        "ask --dry-run": ["ask", f"{hostile_name}.mp4", QUESTION, "--dry-run"],
        "ask --short": ["ask", f"{hostile_name}.mp4", QUESTION, "--short", "--store", "s"],
        "ask --questions": ["ask", "--questions", "q.jsonl", "--out", f"{hostile_name}.jsonl"],
        "ask --questions not there": ["ask", "--questions", HOSTILE, "--out", "o.jsonl"],
        "ask: an option that is none": ["ask", f"--{HOSTILE}"],
        "ask: the store's name": [*command[:3], "--store", hostile_name],
        "inspect: the file's name": ["inspect", f"{hostile_name}.mp4"],
        "inspect: a text": ["inspect", f"{hostile_name}.txt"],
        "inspect: a folder": ["inspect", "."],
        "inspect: a pattern": ["inspect", f"{HOSTILE}*.mp4"],
        "sample: the file's name": ["sample", f"{hostile_name}.mp4", "--n", "2"],
        "sample: a plan": ["sample", video, "--plan", HOSTILE],
        "sample --dump": ["sample", video, "--n", "2", "--dump", hostile_name],
        "sample --sheet": ["sample", video, "--n", "2", "--sheet", f"{hostile_name}.png"],
        "caption: the file's name": ["caption", f"{hostile_name}.mp4", "--store", "s"],
        "caption: the model's name": ["caption", video, "--model", HOSTILE],
        "ground: the expression": ["ground", world, HOSTILE],
        "ground: the file's name": ["ground", f"{hostile_name}.mp4", "the red star"],
        "ground --out": ["ground", world, "the red star", "--out", f"{hostile_name}.png"],
        "index: the file's name": ["index", f"{hostile_name}.mp4", "--store", "s"],
        "index: levels": ["index", video, "--levels", HOSTILE],
        "cache: a file that is not there": ["cache", "--store", hostile_name],
        "data convert: the file's name": [
            "data",
            "convert",
            "p.jsonl",
            "--to",
            "trl",
            "--out",
            f"{hostile_name}.jsonl",
        ],
        "data convert: a target": [
            "data",
            "convert",
            "p.jsonl",
            "--to",
            HOSTILE,
            "--out",
            "o.jsonl",
        ],
        "mcp: a root": ["mcp", "--root", HOSTILE],
        "a verb that is none": [HOSTILE],
    }


def _write_files(folder: Path, bench: Bench) -> None:
    name = HOSTILE.replace("/", "_")
    shutil.copy(bench.clip, folder / f"{name}.mp4")
    (folder / f"{name}.txt").write_text("hello")
    (folder / "named.json").write_text(json.dumps(small_world(name=HOSTILE)))
    (folder / "key.json").write_text(json.dumps(small_world(**{HOSTILE: 1})))
    (folder / "h.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,000\nthe star is {HOSTILE}\n")
    row = {"video": f"{name}.mp4", "question": f"What {HOSTILE}?", "id": HOSTILE}
    (folder / "q.jsonl").write_text(json.dumps(row) + "\n")
    problem = {"id": HOSTILE, "video": f"{HOSTILE}.mp4", "question": HOSTILE, "answer": "red"}
    (folder / "p.jsonl").write_text(json.dumps(problem) + "\n")
    (folder / "typed").mkdir()
    (folder / "typed" / "config.json").write_text(json.dumps({"model_type": HOSTILE}))


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each command line on a terminal, piped and with --json; then pages with hostile text."""
    children = bench.children

    def control_terminal(folder: Path) -> str:
        ended = children.run(_print_hostile, (), folder, on_terminal=True)
        return "" if _find_raw(ended.out) else "the check does not see raw escapes"

    yield Attack(TERMINAL, "raw escapes are seen by the check", control_terminal, is_control=True)
    for name, words in _verbs(bench).items():
        # A library may colour and interpret text on a terminal only, and leave it alone in a pipe.
        ways = [("piped", False, []), ("on a terminal", True, [])]
        if words[0] not in ("mcp", HOSTILE) and words[:1] != ["data"]:
            ways.append(("--json", False, ["--json"]))
        for way, on_terminal, more in ways:

            def attempt(
                folder: Path,
                words: Sequence[str] = words,
                on_terminal: bool = on_terminal,
                more: Sequence[str] = more,
            ) -> str:
                _write_files(folder, bench)
                ended = children.run(
                    *cli_call([*words, *more]),
                    folder,
                    limits=LIMITS,
                    on_terminal=on_terminal,
                    # Wide, so that wrapping does not cut an escape in two.
                    environment={"TERM": "xterm-256color", "COLUMNS": "500"},
                )
                if fault := _find_raw(ended.out + ended.err):
                    return fault
                if "MarkupError" in ended.out + ended.err:
                    return "markup of foreign text was interpreted"
                # On a terminal both streams are one, and lines of error cannot be counted.
                if on_terminal and ended.code in (0, 1, 2, 3) and "Traceback" not in ended.out:
                    return ""
                return find_fault(ended, LIMITS)

            yield Attack(TERMINAL, f"{name}, {way}", attempt)
    yield from _pages(bench)


def _print_hostile() -> int:
    print(HOSTILE)
    return 0


PAYLOADS = (
    "<script>document.title='FIRED'</script>",
    "</script><script>document.title='FIRED'</script>",
    "</style><script>document.title='FIRED'</script>",
    "</title><script>document.title='FIRED'</script>",
    "--><script>document.title='FIRED'</script>",
    "<img src=x onerror=\"document.title='FIRED'\">",
    "<svg onload=\"document.title='FIRED'\">",
    "\"><svg/onload=document.title='FIRED'>",
    "' onmouseover='document.title=`FIRED`' x='",
    '" autofocus onfocus="document.title=`FIRED`" x="',
    "javascript:document.title='FIRED'",
    "<a href=\"javascript:document.title='FIRED'\">x</a>",
    "<iframe srcdoc=\"<script>parent.document.title='FIRED'</script>\">",
    "<math><mi xlink:href=\"data:x,<script>document.title='FIRED'</script>\">",
    "<base href=http://127.0.0.1:9/>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<style>@import 'http://127.0.0.1:9/x.css';</style>",
    "<form action=http://127.0.0.1:9/><input name=x>",
    "{{7*7}}{% for x in y %}",
    "${7*7}",
    "<!--",
    "<![CDATA[<script>document.title='FIRED'</script>]]>",
    "\x00<script\x00>document.title='FIRED'</script>",
    "\ufeff<script>document.title='FIRED'</script>",
    "&lt;script&gt;document.title='FIRED'&lt;/script&gt;",
    "<details open ontoggle=\"document.title='FIRED'\">",
    "<object data=\"data:text/html,<script>document.title='FIRED'</script>\">",
)


class _Reader(HTMLParser):
    """Finds what is live in a page: handlers, scripts of a payload, addresses of elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.has_policy = False
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # What stands in there is read by another grammar than text.
        self._in_script = tag in ("script", "style")
        if tag in ("iframe", "object", "embed", "base", "form", "math"):
            self.faults.append(f"<{tag}> in the page")
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith("on"):
                self.faults.append(f"{name}= on <{tag}>")
            if re.match(r"(javascript|vbscript):|data:text", text) and name in ("href", "src"):
                self.faults.append(f"{name}={text[:30]!r}")
            if "127.0.0.1:9" in text and name in ("href", "src", "action", "content"):
                self.faults.append(f"{name}= leads elsewhere")
            if text == "content-security-policy":
                self.has_policy = True

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and ("FIRED" in data or "127.0.0.1:9" in data):
            self.faults.append("a payload stands in a script or style")


def find_live(page: str, *, needs_policy: bool) -> str:
    """What in a page is live and should not be, by reading it, or ""."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    if needs_policy and not reader.has_policy:
        return "there is no Content-Security-Policy"
    return reader.faults[0] if reader.faults else ""


def _write_pages(bench_clip: str, payload: str) -> int:
    """What shows itself in a notebook, in a child: a line of JSON."""
    from mmreason.video import Video, plan

    folder = Path.cwd() / payload.replace("/", "_").replace("\0", "")[:80]
    folder.mkdir()
    clip = folder / "clip.mp4"
    shutil.copy(bench_clip, clip)
    with Video.open(clip) as video:
        objects = [video, plan.uniform(video, n=2), video.frames_at([0.5])]
        pages = [item._repr_html_() for item in objects if hasattr(item, "_repr_html_")]
    print("PAGES" + json.dumps(pages))
    return 0


def _pages(bench: Bench) -> Iterator[Attack]:
    children = bench.children
    chromium = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)

    def report(folder: Path, payload: str) -> str:
        """The report of an answer in which all texts are hostile."""
        # No argument of a command can hold a zero.
        text = payload.replace("\0", "")
        name = "v" + text.replace("/", "_")[:80]
        shutil.copy(bench.clip, folder / f"{name}.mp4")
        # An arrow or a line break would end the cue.
        line = text.replace("-->", "- ->").replace("\n", " ")
        (folder / "t.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,000\nthe star {line}\n")
        with Loopback(_hostile_server(payload)) as server:
            arguments = [
                "ask",
                f"{name}.mp4",
                f"What colour is the star? {text}",
                f"--option={text}",
                "--option",
                "red",
                "--model",
                server.url,
                "--subtitles",
                "t.srt",
                "--html",
                "r.html",
                "--store",
                "s",
            ]
            ended = children.run(*cli_call(arguments), folder, limits=LIMITS)
        path = folder / "r.html"
        if not path.exists():
            raise NotTriedError(f"no report was written: {ended.err[:200]!a}")
        return path.read_text()

    def control_reading(folder: Path) -> str:
        # A check that sees nothing would pass every page.
        fired = [find_live(f"<p>{payload}</p>", needs_policy=False) for payload in PAYLOADS[:8]]
        return "" if all(fired) else "the check does not see live elements"

    def control_report(folder: Path) -> str:
        page = report(folder, "harmless words")
        if "harmless words" not in page:
            return "the text is not in the report"
        return find_live(page, needs_policy=True)

    yield Attack(PAGES, "live elements are seen by the check", control_reading, is_control=True)
    yield Attack(PAGES, "a report of harmless words", control_report, is_control=True)

    def control_browser(folder: Path) -> str:
        fault = _render(chromium, folder, f"<title>x</title>{PAYLOADS[0]}")
        return "" if fault else "a script of a plain page does not run"

    yield Attack(BROWSER, "a script of a plain page runs", control_browser, is_control=True)
    for payload in PAYLOADS:

        def read(folder: Path, payload: str = payload) -> str:
            return find_live(report(folder, payload), needs_policy=True)

        def render(folder: Path, payload: str = payload) -> str:
            return _render(chromium, folder, report(folder, payload))

        def notebook(folder: Path, payload: str = payload) -> str:
            ended = children.run(_write_pages, (str(bench.clip), payload), folder, limits=LIMITS)
            if "PAGES" not in ended.out:
                return find_fault(ended, LIMITS) or f"no page: {ended.out[-100:]!r}"
            pages = json.loads(ended.out.split("PAGES")[1])
            faults = [find_live(page, needs_policy=False) for page in pages]
            return next((fault for fault in faults if fault), "")

        yield Attack(PAGES, f"report read: {payload[:50]!a}", read)
        yield Attack(BROWSER, f"report: {payload[:50]!a}", render)
        if payload.replace("/", "_").strip() and "\0" not in payload:
            yield Attack(PAGES, f"notebook: {payload[:50]!a}", notebook)


def _hostile_server(payload: str):
    name = payload.strip("\0\ufeff").replace("\0", "")
    models = http({"object": "list", "data": [{"id": name, "object": "model"}]})

    def talk(connection, path: str) -> None:
        connection.sendall(models if path.endswith("/models") else http(completion(payload)))

    return talk


def _render(chromium: str | None, folder: Path, page: str) -> str:
    """Whether a payload changes the title of the page in a browser."""
    if chromium is None:
        raise NotTriedError("there is no Chromium")
    (folder / "r.html").write_text(page)
    output = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/c",
            "--virtual-time-budget=2000",
            "--dump-dom",
            (folder / "r.html").as_uri(),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    ).stdout.decode(errors="replace")
    if not output:
        raise NotTriedError("Chromium showed nothing")
    title = re.search("<title>(.*?)</title>", output, re.DOTALL)
    return "a script ran" if title and title[1].strip() == "FIRED" else ""
