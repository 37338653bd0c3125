"""What works on this machine, as data: packages, decoders, kernels, devices, memory, a self-test.

Every check answers ok, warn or fail with what was found and, where something is amiss, what to do.
A check never raises. None needs a network. `cli/doctor.py` prints them.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module, metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mmreason.audit.senses import SENSE_PARTS, SensePart, describe_part

Status = Literal["ok", "warn", "fail"]

_NEEDED = (
    *("numpy", "torch", "torchvision", "transformers", "accelerate", "tokenizers", "safetensors"),
    *("timm", "av", "pillow", "pydantic", "rich", "typer", "jinja2"),
)
_OPTIONAL = {
    "decord": "decord",
    "torchcodec": "torchcodec",
    "scenedetect": "scenedetect",
    "peft": "train",
    "datasets": "train",
    "mcp": "mcp",
}
"""Modules and the extra of mmreason that brings them."""
_DISTRIBUTIONS = {"scenedetect": "scenedetect-headless"}
"""Names under which modules are installed, where they differ."""
_CV2_FLAVOURS = (
    *("opencv-python", "opencv-python-headless"),
    *("opencv-contrib-python", "opencv-contrib-python-headless"),
)
_VIDEO_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4")
_PYTHON = f"{platform.python_version()} on {platform.platform(terse=True)}"
_LOW_MEMORY_BYTES = 2 * 2**30
_LOW_DISK_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """The outcome of one check."""

    name: str
    status: Status
    found: str
    advice: str = ""
    """What to do; empty where nothing is to be done."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_checks() -> list[DoctorCheck]:
    """All checks in the order in which a person would ask. Takes seconds: torch is imported."""
    return [
        DoctorCheck(name="Python", status="ok", found=_PYTHON),
        *_packages(),
        *_optional_packages(),
        *(_guarded(part.name, partial(_sense_part, part)) for part in SENSE_PARTS),
        _guarded("FFmpeg of PyAV", _ffmpeg),
        _guarded("codecs", _codecs),
        _guarded("OpenCV", _opencv),
        _guarded("torch and torchvision", _torchvision),
        _guarded("CUDA", _cuda),
        _guarded("attention: sdpa", _sdpa),
        _guarded("attention: frames", _packed_attention),
        _guarded("bf16 on this CPU", _cpu_bf16),
        _guarded("free memory", _memory),
        _guarded("free disk", _disk),
        _guarded("nano weights", _nano),
        _guarded("self-test: write and read a clip", _self_test),
    ]


def _guarded(name: str, check: Callable[[], tuple[Status, str, str]]) -> DoctorCheck:
    """Run one check; whatever it raises is its finding."""
    try:
        status, finding, advice = check()
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        return DoctorCheck(
            name=name,
            status="fail",
            found=f"{type(error).__name__}: {text}",
            advice=f"does not work here; reinstall what {name!r} needs or report this line",
        )
    return DoctorCheck(name=name, status=status, found=finding, advice=advice)


def _packages() -> list[DoctorCheck]:
    """One check a package of the base install."""
    return [
        DoctorCheck(name=name, status="ok", found=version)
        if (version := _version(name))
        else DoctorCheck(
            name=name, status="fail", found="not installed", advice=f"pip install {name}"
        )
        for name in _NEEDED
    ]


def _optional_packages() -> list[DoctorCheck]:
    """A missing optional package is no fault; one that is there but cannot be imported is."""
    return [_optional_package(name, extra) for name, extra in _OPTIONAL.items()]


def _optional_package(name: str, extra: str) -> DoctorCheck:
    version = _version(_DISTRIBUTIONS.get(name, name)) or _version(name)
    if version is None:
        advice = f"optional; {_install(extra)}"
        return DoctorCheck(name=name, status="ok", found="not installed", advice=advice)
    try:
        import_module(name)
    # A wheel for another system fails in as many ways as there are loaders.
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        advice = f"does not load here; not needed: pip uninstall {name}"
        return DoctorCheck(name=name, status="warn", found=f"{version}: {reason}", advice=advice)
    return DoctorCheck(name=name, status="ok", found=version)


def _sense_part(part: SensePart) -> tuple[Status, str, str]:
    finding, advice = describe_part(part, _version, _install)
    return "ok", finding, advice


def _ffmpeg() -> tuple[Status, str, str]:
    import av

    libraries = av.library_versions
    avcodec = ".".join(str(number) for number in libraries["libavcodec"])
    return "ok", f"{av.ffmpeg_version_info} (libavcodec {avcodec}), bundled with PyAV", ""


def _codecs() -> tuple[Status, str, str]:
    """Which common video codecs can be read, and whether H.264 can be written."""
    readable = [name for name in _VIDEO_CODECS if _codec(name, "r")]
    finding = "reads " + ", ".join(readable)
    if "h264" not in readable:
        return "fail", finding, "h264 cannot be read: pip install --force-reinstall av"
    if not _codec("libx264", "w"):
        return "warn", finding, "H.264 cannot be written: pip install --force-reinstall av"
    return "ok", finding + "; writes H.264", ""


def _codec(name: str, mode: Literal["r", "w"]) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(name, mode)
    except UnknownCodecError:
        return False
    return True


def _opencv() -> tuple[Status, str, str]:
    flavours = [f"{name} {_version(name)}" for name in _CV2_FLAVOURS if _version(name)]
    finding = ", ".join(flavours) or "unknown flavour"
    if find_spec("cv2") is None:
        return "fail", "not installed", "pip install opencv-python-headless"
    try:
        import cv2
    except ImportError as error:
        advice = "a server has no libGL: pip uninstall opencv-python, then install -headless"
        return "fail", f"{finding}: {error}", advice
    # pip removes one and leaves the others broken, long after.
    if len(flavours) > 1:
        advice = "these share one folder and overwrite each other: uninstall all, install one"
        return "warn", finding, advice
    return "ok", f"{finding} (cv2 {cv2.__version__})", ""


def _torchvision() -> tuple[Status, str, str]:
    """Whether the pair belongs together: by its own requirement and by one compiled call."""
    import torch

    finding = f"torch {_version('torch')}, torchvision {_version('torchvision')}"
    advice = "pip install --upgrade torch torchvision together, from the same package index"
    try:
        # A pair that does not match imports well, and fails at its first compiled operator.
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        return "fail", f"{finding}: {' '.join(str(error).split())[:120]}", advice
    pinned = [r for r in metadata.requires("torchvision") or [] if r.startswith("torch==")]
    # Local parts of a version (+cpu, +cu128) are no difference.
    base = torch.__version__.partition("+")[0]
    if pinned and pinned[0].partition("==")[2].strip() != base:
        return "warn", f"{finding}, which asks for {pinned[0]}", advice
    return "ok", finding, ""


def _cuda() -> tuple[Status, str, str]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return "ok", f"CUDA {torch.version.cuda}: " + ", ".join(names), ""
    if torch.version.cuda is None:
        # A GPU beside a torch for CPUs is worth a warning; no GPU is not.
        nvidia = shutil.which("nvidia-smi") is not None
        advice = "this torch has no CUDA: install a CUDA build to use the GPU" if nvidia else ""
        return ("warn" if nvidia else "ok"), "torch built for CPU; the CPU is used", advice
    return "ok", f"torch built for CUDA {torch.version.cuda}, no GPU found; the CPU is used", ""


def _sdpa() -> tuple[Status, str, str]:
    """Compare torch's attention with the formula on a tiny case."""
    import torch

    # Kernels of broken builds run, and give wrong numbers.
    query, key, value = torch.randn(3, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    fast = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    plain = torch.softmax(query @ key.transpose(-1, -2) / 8**0.5, dim=-1) @ value
    if not torch.allclose(fast, plain, atol=1e-5):
        return "fail", "gives wrong numbers", "reinstall torch"
    return "ok", "works (the default)", ""


def _packed_attention() -> tuple[Status, str, str]:
    """Compare what attends to frames of unequal size with the formula on a tiny case."""
    import torch

    from mmreason.video.encoders.attention import choose_backend, packed_attention

    on_card = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_card else ("cpu", torch.float32)
    choice = choose_backend(device, dtype, 64)
    bounds = torch.tensor([0, 5, 12])
    draws = torch.randn(3, 12, 2, 64, generator=torch.Generator().manual_seed(0))
    query, key, value = draws.to(device, dtype)
    fast = packed_attention(query, key, value, bounds)
    plain = packed_attention(query.float(), key.float(), value.float(), bounds, backend="masked")
    if not torch.allclose(fast.float(), plain, atol=3e-2 if on_card else 1e-5):
        return "fail", f"gives wrong numbers: {choice}", f"reinstall what {choice.backend} is of"
    advice = f"one call for all frames: {_install('flash')}"
    return "ok", str(choice), advice if on_card and choice.backend == "batch" else ""


def _cpu_bf16() -> tuple[Status, str, str]:
    import torch

    a = torch.ones(8, 8, dtype=torch.bfloat16)
    capability = torch.backends.cpu.get_cpu_capability()
    if not bool(((a @ a) == 8).all()):
        return "warn", f"wrong results ({capability})", 'load models with dtype="float32"'
    # Without the instructions bf16 is right, and many times slower than float32.
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    native = sorted(flags & {"avx512_bf16", "amx_bf16", "bf16"})
    instructions = (
        f"native ({', '.join(native)})" if native else "no bf16 instructions seen: may be slow"
    )
    return "ok", f"works on {capability}, {instructions}", ""


def _memory() -> tuple[Status, str, str]:
    import psutil

    memory = psutil.virtual_memory()
    finding = f"{_gib(memory.available)} of {_gib(memory.total)}"
    if memory.available < _LOW_MEMORY_BYTES:
        return "warn", finding, "nano with torch wants about 1.5 GiB: close other programs"
    return "ok", finding, ""


def _disk() -> tuple[Status, str, str]:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    if free < _LOW_DISK_BYTES:
        return "warn", f"{_gib(free)} in {folder}", "make room before writing videos or runs"
    return "ok", f"{_gib(free)} in {folder}", ""


def _nano() -> tuple[Status, str, str]:
    folder = resources.files("mmreason.models") / "nano"
    # A clone without large files has a small pointer, or nothing, in the place of weights.
    weights = folder / "model.safetensors"
    if not weights.is_file():
        advice = "clone mmreason again with its large files, or train it: mmreason train nano"
        return "warn", "model.safetensors is not in the package", advice
    return "ok", f"{len(weights.read_bytes()) / 1e6:.1f} MB", ""


def _self_test() -> tuple[Status, str, str]:
    """Write two seconds of known frames with PyAV, read three back and compare."""
    from mmreason.video import Video

    with tempfile.TemporaryDirectory(prefix="mmreason-doctor-") as folder:
        path = Path(folder) / "clip.mp4"
        codec = _write_clip(path)
        times_s = [0.02, 1.02, 1.94]
        with Video.open(path) as video:
            frames = video.frames_at(times_s)
    for time_s, shown_s, pixels in zip(times_s, frames.times_s, frames.pixels, strict=True):
        number = int(time_s * 25)
        level, expected = float(pixels.mean()), _level(number)
        # Grey levels drift by a few in H.264; frames are four apart, so a neighbour is told by its
        # time.
        if abs(shown_s - number / 25) > 1e-3 or abs(level - expected) > 6:
            finding = (
                f"at {time_s} s: frame of {shown_s:.3f} s with grey {level:.0f}, "
                f"expected {number / 25:.3f} s with grey {expected}"
            )
            return "fail", finding, "decoding is wrong here: pip install --force-reinstall av"
    return "ok", f"2 s of {codec} written; {len(times_s)} frames read back at the right times", ""


def _write_clip(path: Path) -> str:
    """50 grey frames at 25 Hz, each a level brighter; returns the codec used."""
    import av
    import numpy as np

    codec = "libx264" if _codec("libx264", "w") else "mpeg4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            pixels = np.full((48, 64, 3), _level(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return codec


def _level(number: int) -> int:
    return 30 + 4 * number


def _install(extra: str) -> str:
    """How to add an optional part: mmreason is installed from a clone, not from an index."""
    return f'in the clone of mmreason: pip install ".[{extra}]"'


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
