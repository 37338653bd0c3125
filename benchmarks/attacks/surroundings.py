"""Modes of files that are written, odd environments, full disks, and signals."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.attacks.harness import (
    Attack,
    Ended,
    Limits,
    NotTriedError,
    cli_call,
    find_fault,
)
from benchmarks.attacks.material import QUESTION, Bench, answers

MODES, ENVIRONMENT, SIGNALS = "file modes", "environment", "signals"
LIMITS = Limits(cpu_s=15, grown_mb=500)
_INTERRUPTED = 130


def attacks(bench: Bench) -> Iterator[Attack]:
    """Modes, then surroundings, then signals."""
    yield from _modes(bench)
    yield from _environment(bench)
    yield from _signals(bench)


def _writers(bench: Bench) -> dict[str, tuple[list[str], str]]:
    """(command line, file that it writes) by what is written."""
    world, clip = str(bench.world), str(bench.clip)
    arguments = ["ask", world, QUESTION, "--store", "store"]
    return {
        "a report": ([*arguments, "--html", "out/r.html"], "out/r.html"),
        "answers": (
            ["ask", "--questions", "q.jsonl", "--out", "out/a.jsonl", "--store", "store"],
            "out/a.jsonl",
        ),
        "a sheet": (["sample", clip, "--n", "2", "--sheet", "out/s.png"], "out/s.png"),
        "a sheet of inspect": (["inspect", clip, "--sheet", "out/i.png"], "out/i.png"),
        "a picture with boxes": (
            ["ground", world, "the red star", "--out", "out/b.png"],
            "out/b.png",
        ),
        "an export": (
            ["data", "export", "p.jsonl", "--to", "trl", "--out", "out/p.jsonl"],
            "out/p.jsonl",
        ),
        "a store": (arguments, "store"),
    }


def _prepare(folder: Path, bench: Bench) -> None:
    (folder / "out").mkdir()
    (folder / "q.jsonl").write_text(
        f'{{"video": "{bench.world}", "question": "{QUESTION}", "id": "1"}}\n'
    )
    (folder / "p.jsonl").write_text(
        f'{{"id": "1", "video": "{bench.world}", "question": "{QUESTION}", "answer": "red"}}\n'
    )


def _modes(bench: Bench) -> Iterator[Attack]:
    def write(folder: Path, words: Sequence[str], umask: int) -> Ended:
        return bench.children.run(*cli_call(words), folder, limits=LIMITS, umask=umask)

    def control(folder: Path) -> str:
        (folder / "x").write_text("")
        # A mode that no usual umask gives.
        (folder / "x").chmod(0o604)
        return "" if _mode(folder / "x") == 0o604 else "modes cannot be set here"

    yield Attack(MODES, "modes can be told apart", control, is_control=True)
    for what, (words, name) in _writers(bench).items():

        def private(folder: Path, words: Sequence[str] = words, name: str = name) -> str:
            _prepare(folder, bench)
            ended = write(folder, words, 0o077)
            if not (folder / name).exists():
                return find_fault(ended, LIMITS) or "nothing was written"
            return "" if _mode(folder / name) == 0o600 else f"mode {_mode(folder / name):o}"

        def group(folder: Path, words: Sequence[str] = words, name: str = name) -> str:
            """A umask of a group: none but the store is more private than it says."""
            _prepare(folder, bench)
            ended = write(folder, words, 0o002)
            if not (folder / name).exists():
                return find_fault(ended, LIMITS) or "nothing was written"
            # The store holds what was asked and said, and is its user's alone under any umask.
            expected = 0o600 if name == "store" else 0o664
            mode = _mode(folder / name)
            return "" if mode == expected else f"mode {mode:o}, expected {expected:o}"

        def replaced(folder: Path, words: Sequence[str] = words, name: str = name) -> str:
            _prepare(folder, bench)
            write(folder, words, 0o077)
            path = folder / name
            if not path.exists():
                return "nothing was written"
            path.chmod(0o600)
            write(folder, words, 0o022)
            return "" if _mode(path) == 0o600 else f"a private file became {_mode(path):o}"

        yield Attack(MODES, f"{what} under umask 077", private)
        yield Attack(MODES, f"{what} under umask 002", group)
        yield Attack(MODES, f"{what} in place of a private file", replaced)

    def default_store(folder: Path) -> str:
        home = folder / "home"
        home.mkdir()
        ended = bench.children.run(
            *cli_call(["ask", str(bench.world), QUESTION]),
            folder,
            limits=LIMITS,
            environment={"HOME": str(home)},
        )
        store = home / ".cache/mmreason/store.sqlite3"
        if not store.exists():
            return find_fault(ended, LIMITS) or "no store was made"
        modes = _mode(store), _mode(store.parent)
        return "" if modes == (0o600, 0o700) else f"store {modes[0]:o} in a folder {modes[1]:o}"

    yield Attack(MODES, "the store of this user", default_store)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _environment(bench: Bench) -> Iterator[Attack]:
    children = bench.children
    command = ["ask", str(bench.world), QUESTION]

    def control(folder: Path) -> str:
        return answers(children.run(*cli_call(command), folder, limits=LIMITS), "red")

    yield Attack(ENVIRONMENT, "an answer in an ordinary one", control, is_control=True)
    homes: dict[str, str | None] = {
        "no HOME": None,
        "HOME empty": "",
        "HOME /dev/null": "/dev/null",
        "HOME a file": "/etc/hostname",
        "HOME missing": "/nowhere/at/all",
        "HOME relative": "here",
        "HOME /proc": "/proc",
        "HOME of 5,000 letters": "/x" * 2_500,
        "HOME of escapes": "/tmp/\x1b[2J",
    }
    for name, home in homes.items():

        def homeless(folder: Path, home: str | None = home) -> str:
            ended = children.run(
                *cli_call(command), folder, limits=LIMITS, environment={"HOME": home}
            )
            if Path("/.cache").exists() and home == "":
                # Taken back, or the next attack would find it there.
                shutil.rmtree("/.cache", ignore_errors=True)
                return "a store was made in /.cache"
            return find_fault(ended, LIMITS) or answers(ended, "red")

        yield Attack(ENVIRONMENT, f"ask: {name}", homeless)

    for name, most_bytes in (("4 KB", 4096), ("64 KB", 65536), ("512 bytes", 512)):

        def full_store(folder: Path, most_bytes: int = most_bytes) -> str:
            home = folder / "home"
            home.mkdir()
            ended = children.run(
                *cli_call(command),
                folder,
                limits=LIMITS,
                most_file_bytes=most_bytes,
                environment={"HOME": str(home)},
                stdout=_pipe_of(folder),
            )
            return _answers_in(folder, ended, "red")

        def full_report(folder: Path, most_bytes: int = most_bytes) -> str:
            ended = children.run(
                *cli_call([*command, "--store", ":memory:", "--html", "r.html"]),
                folder,
                limits=LIMITS,
                most_file_bytes=most_bytes,
                stdout=_pipe_of(folder),
            )
            return _answers_in(folder, ended, "red", codes=(0, 1))

        yield Attack(ENVIRONMENT, f"ask: files of {name} for the store", full_store)
        yield Attack(ENVIRONMENT, f"ask: files of {name} for the report", full_report)

    def full_disk(folder: Path) -> str:
        disk = folder / "disk"
        disk.mkdir()
        mounting = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        )
        if mounting.returncode:
            raise NotTriedError("no small file system can be mounted here")
        try:
            # Nearly full, so that the report does not fit any more.
            with contextlib.suppress(OSError):
                (disk / "fill").write_bytes(bytes(60_000))
            arguments = [*command, "--store", str(folder / "s"), "--html", str(disk / "r.html")]
            ended = children.run(*cli_call(arguments), folder, limits=LIMITS)
            if "red" not in ended.out:
                return f"no answer was printed: {ended.err[-150:]!a}"
            return find_fault(ended, LIMITS) or (
                "" if "r.html" in ended.err else f"the error names no file: {ended.err[-150:]!a}"
            )
        finally:
            subprocess.run(["umount", str(disk)], capture_output=True, check=False)

    yield Attack(ENVIRONMENT, "ask: a full disk under the report", full_disk)

    for name, target in {
        "in /proc": "/proc/r.html",
        "that is a folder": "folder",
        "of 250 letters": "r" * 245 + ".html",
        "of 300 letters": "r" * 300 + ".html",
        "below a file": "file/r.html",
        "/dev/full": "/dev/full",
        "that is not UTF-8": os.fsdecode(b"\xff\xfe.html"),
        "that is a link out": "link.html",
    }.items():

        def report(folder: Path, target: str = target) -> str:
            (folder / "folder").mkdir()
            (folder / "file").write_text("")
            (folder / "real.html").write_text("old")
            (folder / "link.html").symlink_to("real.html")
            arguments = [*command, "--store", "s", "--html", target]
            ended = children.run(*cli_call(arguments), folder, limits=LIMITS)
            # A place that cannot be written may be told before any work, or after the answer is
            # printed.
            if ended.code == 2 and "red" not in ended.out:
                return find_fault(ended, LIMITS)  # told before any work
            return find_fault(ended, LIMITS) or ("" if "red" in ended.out else "no answer printed")

        yield Attack(ENVIRONMENT, f"ask: a report {name}", report)

    def not_utf8(folder: Path) -> str:
        name = os.fsdecode(b"v\xff\xfe.mp4")
        shutil.copy(bench.clip, folder / name)
        faults = []
        for arguments in (
            ["ask", name, QUESTION, "--store", "s", "--html", "r.html"],
            ["inspect", name, "--json"],
            ["sample", name, "--n", "2", "--json"],
            ["caption", name, "--store", "s"],
            ["index", name, "--store", "s"],
        ):
            ended = children.run(*cli_call(arguments), folder, limits=LIMITS)
            if fault := find_fault(ended, LIMITS):
                faults.append(f"{arguments[0]}: {fault}")
        return "; ".join(faults)

    yield Attack(ENVIRONMENT, "a video whose name is not UTF-8", not_utf8)
    yield from _ends(bench)


def _pipe_of(folder: Path) -> str:
    """Where a child that may write no file prints: a FIFO that a program drains into a file."""
    fifo = folder / "stdout"
    os.mkfifo(fifo)
    subprocess.Popen(["/bin/sh", "-c", 'cat "$1" > "$2"', "sh", str(fifo), str(folder / "printed")])
    return str(fifo)


def _answers_in(folder: Path, ended: Ended, expected: str, codes: Sequence[int] = (0,)) -> str:
    """A fault unless `expected` was printed into `printed`."""
    # The program behind the pipe writes a moment after the child has ended.
    for _ in range(50):
        if (folder / "printed").exists() and expected in (folder / "printed").read_text():
            break
        time.sleep(0.02)
    else:
        return f"no answer was printed, code {ended.code}: {ended.err[-150:]!a}"
    if ended.code not in codes:
        return f"code {ended.code}: {ended.err[-150:]!a}"
    return find_fault(ended, LIMITS)


def _fresh(
    folder: Path, command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell command, in which $MM starts mmreason, in processes of its own."""
    return subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=_environment_of(folder) | (environment or {}),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _environment_of(folder: Path) -> dict[str, str]:
    return os.environ | {
        "HOME": str(folder),
        "MM": f"{sys.executable} -m mmreason",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HF_HUB_OFFLINE": "1",
    }


def _ends(bench: Bench) -> Iterator[Attack]:
    clip = str(bench.clip)
    commands = {
        "stdout closed": f"$MM inspect {clip} >&-",
        "stdout and stderr closed": f"$MM inspect {clip} >&- 2>&-",
        "stderr closed": f"$MM inspect {clip} 2>&-",
        "stderr closed, an error": "$MM inspect nothing.mp4 2>&-",
        "stdin closed": f"$MM inspect {clip} <&-",
        "all closed": f"$MM inspect {clip} <&- >&- 2>&-",
        "/dev/full": f"$MM inspect {clip} --json > /dev/full",
        "a reader that leaves": f"set -o pipefail; $MM inspect {clip} --json | head -c 1",
        "the folder is gone": f"mkdir gone && cd gone && rmdir ../gone && $MM inspect {clip}",
        "the folder is gone, a relative file": "mkdir gone && cd gone && rmdir ../gone && "
        "$MM inspect x.mp4",
        "the folder is gone, mcp": "mkdir gone && cd gone && rmdir ../gone && $MM mcp < /dev/null",
        "stdout closed, mcp": "$MM mcp --root . < /dev/null >&-",
        "16 open files": f"ulimit -n 16; $MM inspect {clip}",
        "a command line that is not UTF-8": "$MM inspect $'\\xff\\xfe.mp4'",
        "LC_ALL C": f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $MM inspect {clip}",
        "ASCII output": f"PYTHONIOENCODING=ascii $MM inspect {clip}",
    }
    for name, command in commands.items():

        def attempt(folder: Path, command: str = command) -> str:
            try:
                done = _fresh(folder, command)
            except subprocess.TimeoutExpired:
                return "still running after 120 s"
            text = done.stdout + done.stderr
            if "Traceback" in text or "Exception ignored" in text:
                return f"traceback: {text.strip().splitlines()[-1][:120]!a}"
            if "--debug shows where" in text and "OSError" not in text:
                return f"unexpected error: {text.strip().splitlines()[-1][:120]!a}"
            if done.returncode not in (0, 1, 2):
                return f"exit code {done.returncode}"
            if len(done.stderr.strip().splitlines()) > 2:
                return f"{len(done.stderr.splitlines())} lines on stderr"
            return ""

        yield Attack(ENVIRONMENT, f"inspect: {name}", attempt)


def _signals(bench: Bench) -> Iterator[Attack]:
    clip, world = str(bench.clip), str(bench.world)

    def start(folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "mmreason", *words],
            cwd=folder,
            env=_environment_of(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # A shell lets what it starts in the background ignore Ctrl-C, and children inherit it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def send(
        folder: Path, words: Sequence[str], after_s: float, number: signal.Signals
    ) -> tuple[int | None, str, bool]:
        """(exit code, stderr, whether it had ended before)."""
        process = start(folder, words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        # Too late is no proof of anything: it is told as not tried.
        had_ended = process.poll() is not None
        if not had_ended:
            process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, "", had_ended
        return process.returncode, errors.decode(errors="replace"), had_ended

    def control(folder: Path) -> str:
        code, errors, _ = send(folder, ["inspect", clip], 60, signal.SIGINT)
        return "" if code == 0 else f"code {code}: {errors[-100:]!a}"

    yield Attack(SIGNALS, "inspect ends by itself", control, is_control=True)

    def judge(code: int | None, errors: str, had_ended: bool, codes: Sequence[int]) -> str:
        if had_ended:
            raise NotTriedError("it had ended before the signal")
        if code is None:
            return "still running 30 s after the signal"
        # Before our first line Python itself prints what it likes.
        is_early = "Traceback" in errors and "/mmreason/" not in errors
        if is_early or (code == -signal.SIGINT and not errors):
            raise NotTriedError("it came before Python had begun to run mmreason")
        if "Traceback" in errors or len(errors.strip().splitlines()) > 1:
            return f"{len(errors.strip().splitlines())} lines: {errors.strip()[-120:]!a}"
        return "" if code in codes else f"exit code {code}: {errors[-120:]!a}"

    verbs = {
        "inspect": ["inspect", clip],
        "mcp": ["mcp", "--root", "."],
        "ask": ["ask", world, QUESTION, "--store", "s"],
    }
    for verb, words in verbs.items():
        for after_s in (0.05, 0.15, 0.3, 0.8, 2.0):

            def interrupt(
                folder: Path, words: Sequence[str] = words, after_s: float = after_s
            ) -> str:
                ended = send(folder, words, after_s, signal.SIGINT)
                return judge(*ended, codes=(0, _INTERRUPTED))

            yield Attack(SIGNALS, f"{verb}: Ctrl-C after {after_s:g} s", interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):

        def end(folder: Path, number: signal.Signals = number) -> str:
            ended = send(folder, verbs["ask"], 1.5, number)
            return judge(*ended, codes=(-number, 128 + number, _INTERRUPTED))

        yield Attack(SIGNALS, f"ask: {number.name}", end)

    def killed(folder: Path) -> str:
        # At several moments, as nobody knows when the store is being written.
        for after_s in (1.0, 3.0, 5.0):
            send(folder, [*verbs["ask"], "--seed", str(after_s)[0]], after_s, signal.SIGKILL)
        path = folder / "s"
        if not path.exists():
            raise NotTriedError("no store was there when it was killed")
        # By SQLite itself, not by our reader, which may pass over damage.
        (state,) = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()
        ended = bench.children.run(*cli_call(verbs["ask"]), folder, limits=LIMITS)
        return answers(ended, "red") if state == "ok" else f"the store is {state}"

    yield Attack(SIGNALS, "ask: SIGKILL three times, then the store is whole", killed)

    def orphans(folder: Path) -> str:
        """Nothing that a killed server started lives on."""
        process = start(folder, ["mcp", "--root", "."])
        time.sleep(2)
        group = os.getpgid(process.pid)
        process.kill()
        process.communicate()
        time.sleep(0.5)
        with contextlib.suppress(ProcessLookupError):
            # Signal 0 only asks whether anybody is there.
            os.killpg(group, 0)
            os.killpg(group, signal.SIGKILL)
            return "a child of the killed server lives on"
        return ""

    yield Attack(SIGNALS, "mcp: SIGKILL leaves no child", orphans)
