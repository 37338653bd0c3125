"""What it costs to bring HDR to a standard screen: decoding with and without, at several sizes.

    python benchmarks/tone_mapping.py

Writes a clip of moving texture as HEVC of ten bits, 1920x1080, marked PQ and HLG, and streams it
with one thread, in turns, `tone_map="none"` and `"auto"`. Processor seconds of this process. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from mmreason.video import Video

SIZE_PX = (1920, 1080)
TRANSFERS = {"PQ": 16, "HLG": 18}


def write_clip(path: Path, transfer: int, frames: int) -> Path:
    noise = np.random.default_rng(0)
    coarse = noise.integers(100, 680, (SIZE_PX[1] // 8, SIZE_PX[0] // 8 + frames))
    # Ten bits: levels up to 1023.
    canvas = np.kron(coarse, np.ones((8, 8))) + noise.normal(0, 6, (SIZE_PX[1], 1)) + 32
    options = {"preset": "veryfast", "x265-params": "log-level=none"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt, context = "yuv420p10le", stream.codec_context
        # BT.2020 with limited range, by the numbers of FFmpeg.
        context.colorspace, context.color_range, context.color_primaries = 9, 1, 9
        context.color_trc = transfer
        # 512 is no colour difference: the texture is grey.
        planes = np.full((SIZE_PX[1] * 3 // 2, SIZE_PX[0]), 512, np.uint16)
        for number in range(frames):
            planes[: SIZE_PX[1]] = canvas[:, number * 4 : number * 4 + SIZE_PX[0]]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p10le")))
        container.mux(stream.encode(None))
    return path


def decode_s(path: Path, tone_map, size_px: tuple[int, int]) -> float:
    # Of the processor: other processes do not count.
    start_s = time.process_time()
    with Video.open(path, "pyav", workers=1, tone_map=tone_map) as video:
        for _ in video.stream(size_px=size_px):
            pass
    return time.process_time() - start_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| | delivered | as stored, ms a frame | tone-mapped | ratio (least to most) |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, transfer in TRANSFERS.items():
            path = write_clip(Path(folder) / f"{name}.mp4", transfer, options.frames)
            for size_px in (SIZE_PX, (960, 540), (448, 252)):
                decode_s(path, "auto", size_px)
                # In turns, so that both meet the same machine.
                pairs = [
                    (decode_s(path, "none", size_px), decode_s(path, "auto", size_px))
                    for _ in range(options.rounds)
                ]
                times_s = zip(*pairs, strict=True)
                stored, mapped = (1000 * statistics.median(t) / options.frames for t in times_s)
                ratios = sorted(after / before for before, after in pairs)
                print(
                    f"| {name} | {size_px[0]}x{size_px[1]} | {stored:.1f} | {mapped:.1f} | "
                    f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
                )


if __name__ == "__main__":
    main()
