"""Take frames for a subject of one RGB image in and one out, out of a folder of images."""

from dataclasses import dataclass
from pathlib import Path

from harness import images
from harness.cli.init_samples import IMAGES, cut
from harness.errors import ConfigError
from harness.images import Size


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Images to test with, and what is to be said about their choice.

    Attributes:
        pairs: Blurred and, where there is one, sharp image by name.
        size: What is cut out of each blurred image.
        scale: A sharp image's edge over the blurred one's.
        notes: What was left out, one line each.
    """

    pairs: dict[str, tuple[Path, Path | None]]
    size: Size
    scale: int
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return their names."""
        return tuple(self.pairs)

    def write(self, folder: Path) -> None:
        """Write each frame, and its target where there is one."""
        folder.mkdir(parents=True)
        for name, (blurred, sharp) in self.pairs.items():
            left, top = cut(blurred, self.size, folder / f"{name}.blurred.png")
            if sharp is not None:
                corner = (left * self.scale, top * self.scale)
                size = _times(self.size, self.scale)
                cut(sharp, size, folder / f"{name}.sharp.png", corner=corner)


def choose(folder: Path, size: Size, scale: int, most: int) -> Frames:
    """Return (frame, target or None) by name: pairs if there are any, else all images."""
    if not folder.is_dir():
        raise ConfigError(f"--frames {folder}: no such folder")
    if most < 1:
        raise ConfigError(f"--frames-max {most}: take one at least")
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGES)
    if not found:
        raise ConfigError(f"{folder}: holds no images ({', '.join(IMAGES)})")
    notes = []
    pairs: dict[str, tuple[Path, Path | None]] = {}
    for path in found:
        stem, dot, kind = path.stem.rpartition(".")
        if dot and kind == "blurred":
            sharp = [p for p in found if p.stem == f"{stem}.sharp"]
            pairs[stem] = (path, sharp[0] if sharp else None)
    used = {path for pair in pairs.values() for path in pair}
    if pairs and (alone := [path.name for path in found if path not in used]):
        notes.append(
            f"{len(alone)} images of {folder} are no X.blurred with or without X.sharp and "
            f"were left out: {', '.join(alone[:3])}{' ...' if len(alone) > 3 else ''}"
        )
    chosen = pairs or {path.stem: (path, None) for path in found}
    if len(chosen) > most:
        notes.append(f"the first {most} of {len(chosen)} images were taken; see --frames-max")
    taken = dict(list(chosen.items())[:most])
    for frame, target in taken.values():
        seen = images.size_of(frame)
        if seen.width_px < size.width_px or seen.height_px < size.height_px:
            raise ConfigError(f"{frame}: is {seen}, smaller than the model's input {size}")
        if target is not None and images.size_of(target) != _times(seen, scale):
            raise ConfigError(
                f"{target}: is {images.size_of(target)}; beside a frame of {seen}, a model that "
                f"enlarges {scale} times wants {_times(seen, scale)}"
            )
    return Frames(pairs=taken, size=size, scale=scale, notes=tuple(notes))


def _times(size: Size, scale: int) -> Size:
    return Size(width_px=size.width_px * scale, height_px=size.height_px * scale)
