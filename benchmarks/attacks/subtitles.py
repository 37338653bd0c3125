"""Subtitle files that ask for more time and memory than they have bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.attacks.harness import Attack, Limits, cli_call, find_fault
from benchmarks.attacks.material import QUESTION, Bench, answers

KIND = "subtitles"
LIMITS = Limits(cpu_s=20, grown_mb=500)
_OTHER_DIGITS = {ord("0") + n: 0x660 + n for n in range(10)}
"""Of Arabic."""
_HEAD = "1\n00:00:00,000 --> 00:00:10,000\n"
_ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: D,Arial\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
_LINE = "Dialogue: 0,0:00:00.00,0:00:10.00,D,,0,0,0,,"


def hostile_files() -> dict[str, bytes]:
    """By file name."""
    cue = "{n}\n00:{m:02d}:{s:02d},000 --> 00:{m:02d}:{s:02d},900\nhi {n}\n\n"
    many = "".join(cue.format(n=n, m=n // 60 % 60, s=n % 60) for n in range(180_000))
    # Runs for which a careless pattern takes time in the square of their length.
    texts = {
        "overrides.srt": _HEAD + "{\\an8}" * 40_000,
        "overrides_1m.srt": _HEAD + "{\\an8}" * 1_000_000,
        "italics.srt": _HEAD + "<i>" * 200_000,
        "nested_bold.srt": _HEAD + "<b>" * 100_000 + "x" + "</b>" * 100_000,
        "unclosed.srt": _HEAD + "<" * 2_000_000,
        "braces.srt": _HEAD + "{" * 2_000_000,
        "entities.srt": _HEAD + "&amp;" * 400_000,
        "entity_run.srt": _HEAD + "&" * 2_000_000,
        "fonts.srt": _HEAD + '<font color="red">' * 100_000,
        "long_line.srt": _HEAD + "a" * 7_500_000,
        "blank_lines.srt": _HEAD + "\n" * 4_000_000,
        "arrows.srt": "00:00:00,000 --> " * 300_000,
        "cues.srt": many,
        "huge_times.srt": "1\n"
        + "9" * 4000
        + ":00:00,000 --> "
        + "9" * 5000
        + ":00:00,000\nstar\n",
        "huge_number.srt": "9" * 100_000 + "\n00:00:00,000 --> 00:00:01,000\nstar\n",
        "other_digits.srt": "1\n00:00:00,000 --> 00:00:01,000\nstar\n".translate(_OTHER_DIGITS),
        "spaces.srt": _HEAD + " " * 5_000_000 + "x",
        "tabs_nul.srt": _HEAD + "\0\t" * 500_000,
        "bidi.srt": _HEAD + "\u202e\u2066" * 100_000 + "star",
        "overlap.srt": "".join(
            f"{n}\n00:00:00,000 --> 00:59:00,000\nstar {n}\n\n" for n in range(60_000)
        ),
        "tags.vtt": "WEBVTT\n\n00:00.000 --> 00:10.000\n" + "<c.red>" * 200_000,
        "stamps.vtt": "WEBVTT\n\n00:00.000 --> 00:10.000\n" + "<00:00:01.000>x" * 100_000,
        "voice.vtt": "WEBVTT\n\n00:00.000 --> 00:10.000\n" + "<v " * 400_000,
        "note.vtt": "WEBVTT\n\nNOTE " + "x\n" * 1_000_000,
        "style.vtt": "WEBVTT\n\nSTYLE\n" + "::cue(" * 500_000,
        "region.vtt": "WEBVTT\n\n" + "REGION\nid:a\n\n" * 200_000,
        "same_end.vtt": "WEBVTT\n\n" + "00:00.000 --> 00:00.000\nx\n\n" * 100_000,
        "overrides.ass": _ASS + _LINE + "{\\an8}" * 40_000 + "\n",
        "drawing.ass": _ASS + _LINE + "{\\p1}m 0 0 l " * 60_000 + "\n",
        "drawings.ass": _ASS + (_LINE + "{\\p1}m 0 0{\\p0}x\n") * 60_000,
        "styles.ass": _ASS.replace("Style: D,Arial\n", "Style: D,Arial\n" * 200_000)
        + _LINE
        + "x\n",
        "breaks.ass": _ASS + _LINE + "\\N\\n\\h" * 400_000 + "\n",
        "transform.ass": _ASS + _LINE + "{\\t(" * 200_000 + "\n",
        "commas.ass": _ASS + "Dialogue: " + "," * 3_000_000 + "\n",
        "sections.ass": "[Events]\n" * 300_000,
        "overrides.ssa": _ASS.replace("v4.00+", "v4.00") + _LINE + "{\\b1}" * 40_000 + "\n",
        "micro.sub": "{0}{100}" + "{y:i}" * 200_000 + "\n",
        "microbars.sub": "{0}{100}" + "|" * 2_000_000 + "\n",
        "tmp.sub": "00:00:00:" + "|x" * 1_000_000,
        "deep.json": "[" * 200_000,
        "deep.ttml": "<tt>" + "<p>" * 100_000,
        "bomb.ttml": _xml_bomb(),
        "outside.ttml": '<!DOCTYPE t [<!ENTITY x SYSTEM "/etc/hostname">]><tt><p>&x;</p></tt>',
        "stamps.lrc": "[00:01.00]" * 300_000 + "star\n",
        "karaoke.lrc": "[00:01.00]" + "<00:01.00>" * 300_000 + "star\n",
    }
    files = {name: text.encode() for name, text in texts.items()}
    return files | {
        "zeros.srt": bytes(7_000_000),
        "over_limit.srt": _HEAD.encode() + b"a" * 40_000_000,
        "utf16.srt": (_HEAD + "star\n").encode("utf-16") + b"\xff\xd8" * 100_000,
        "not_utf8.srt": _HEAD.encode() + bytes(range(128, 256)) * 20_000,
    }


def _xml_bomb() -> str:
    entities = '<!ENTITY a0 "lol">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
    )
    return f'<?xml version="1.0"?><!DOCTYPE t [{entities}]><tt><body><p>&a9;</p></body></tt>'


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each file is given to `ask --subtitles`; some are found beside a video too."""

    def ask(folder: Path, *more: str):
        arguments = ["ask", str(bench.world), QUESTION, "--store", str(folder / "store"), *more]
        return bench.children.run(*cli_call(arguments), folder, limits=LIMITS)

    def control(folder: Path) -> str:
        path = folder / "good.srt"
        path.write_text("1\n00:00:00,000 --> 00:00:02,000\nThe meeting is on Friday.\n")
        arguments = ["ask", str(bench.world), "When is the meeting?", "--subtitles", str(path)]
        ended = bench.children.run(*cli_call([*arguments, "--store", str(folder / "s")]), folder)
        return answers(ended, "Friday")

    yield Attack(KIND, "a plain file is quoted", control, is_control=True)
    for name, data in hostile_files().items():

        def attempt(folder: Path, name: str = name, data: bytes = data) -> str:
            (folder / name).write_bytes(data)
            return find_fault(ask(folder, "--subtitles", str(folder / name)), LIMITS)

        yield Attack(KIND, f"--subtitles {name}", attempt)
    for name in ("overrides.srt", "cues.srt", "drawing.ass"):

        def beside(folder: Path, name: str = name) -> str:
            (folder / f"film{Path(name).suffix}").write_bytes(hostile_files()[name])
            (folder / "film.mp4").write_bytes(bench.clip.read_bytes())
            arguments = ["ask", "film.mp4", QUESTION, "--store", "store"]
            return find_fault(
                bench.children.run(*cli_call(arguments), folder, limits=LIMITS), LIMITS
            )

        yield Attack(KIND, f"{name} beside the video", beside)
