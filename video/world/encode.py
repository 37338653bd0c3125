"""Writes a world as an H.264 file through PyAV, frame by frame in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from mmreason.video.types import VideoError
from mmreason.video.world.script import World


def write_video(
    world: World,
    path: str | Path,
    *,
    on_frame: Callable[[int, int], None] | None = None,
) -> Path:
    """Encode `world` as `path` (mp4, H.264, yuv420p). The file appears only when it is complete.

    `on_frame(done, total)` is called after each frame. Raises `VideoError` where the folder cannot
    be written.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _encode(world, temporary, on_frame)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise VideoError(f"{path}: cannot be written ({error})") from error
    return path


def _encode(world: World, path: Path, on_frame: Callable[[int, int], None] | None) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    # A fraction as short as 30000/1001, which a float is not.
    rate = Fraction(world.fps_hz).limit_denominator(1001 * 60)
    total = world.frame_count
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=rate, options={"crf": "18", "preset": "veryfast"}
        )
        stream.width, stream.height = world.size_px
        stream.pix_fmt = "yuv420p"
        # With more threads the bytes would depend on how many cores there are.
        stream.codec_context.thread_count = 1
        # The scaler writes BT.601 of limited range; untagged, tall pictures pass for BT.709.
        stream.codec_context.colorspace = Colorspace.ITU601
        stream.codec_context.color_range = ColorRange.MPEG
        # Two seconds between key frames, as streamed films have.
        stream.codec_context.gop_size = round(2 * world.fps_hz)
        for index in range(total):
            pixels = world.frame(index / world.fps_hz)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
            if on_frame is not None:
                on_frame(index + 1, total)
        for packet in stream.encode():
            container.mux(packet)
