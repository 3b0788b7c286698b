"""Runs of many subjects on many phones, made up: records, facts and images as phones leave them.

No model is run. Each phone makes an image of its own of each frame, as ten kinds of hardware do,
so that no two images of a page are the same.
"""

import functools
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness import blessed_outputs, evidence, goldens, metrics, samples, schema, subjects
from harness.evidence import Evidence, Provenance
from harness.fact_lines import Taken
from harness.images import Pixels
from harness.keys import Key
from harness.latency import Estimate
from harness.metrics import Metric
from harness.placement import NodePlacement, Placement
from harness.results import FOLDER, SCHEMA, End, Planned, Record, Run
from harness.verdict import Outcome, Verdict
from tests import models

VARIANTS = (
    "fp32", "fp16", "int8_ptq", "int8_qat", "int16_ptq", "pruned50", "pruned70", "pruned70_int8",
)  # fmt: skip
_LARGER = ("512x288", "1024x576", "1280x720")
_LIMITS = {
    metrics.PSNR_DB: 42.0, metrics.RELATIVE_L2: 0.02, metrics.WORST_TILE_PSNR_DB: 36.0,
    metrics.QUALITY_DROP_DB: 0.25, metrics.NON_FINITE_VALUES: 0.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much a run holds.

    Attributes:
        subjects: Models.
        variants: Exported files of each.
        phones: Phones.
        frames: Golden frames of each model.
        edge_px: Edge of a frame; its width is its height.
        slower: Ratio by which the last variant is slower on the first phone.
        fallback: Whether that variant leaves the accelerator there.
    """

    subjects: int = 20
    variants: int = 8
    phones: int = 10
    frames: int = 4
    edge_px: int = 128
    slower: float = 1.0
    fallback: bool = False

    @property
    def sizes(self) -> tuple[str, ...]:
        """Return the resolutions; frames are of the first."""
        return f"{self.edge_px}x{self.edge_px}", *_LARGER

    def names(self) -> Iterator[tuple[str, str, str]]:
        """Yield subject, variant and phone."""
        yield from itertools.product(
            (f"net{number:02d}" for number in range(self.subjects)),
            VARIANTS[: self.variants],
            (f"phone{number:02d}" for number in range(self.phones)),
        )


def golden(folder: Path, shape: Shape) -> Path:
    """Write the golden folder of a run and return it."""
    files = {"float32": models.unet(size_px=64), "int8": models.unet(size_px=64, dtype="int8")}
    for number in range(shape.subjects):
        _subject(folder / f"net{number:02d}", number, shape, files)
    return folder


def _subject(folder: Path, seed: int, shape: Shape, files: dict[str, bytes]) -> None:
    (folder / "frames").mkdir(parents=True)
    toml = [f'name = "{folder.name}"', 'task = "deblur"', 'source = "made up"']
    for name in VARIANTS[: shape.variants]:
        data = files["int8" if "int8" in name else "float32"]
        (folder / f"{name}.tflite").write_bytes(data)
        precision = name if name in list(subjects.Precision) else "fp32"
        toml += [
            "[[variants]]", f'name = "{name}"', f'precision = "{precision}"',
            f'path = "{name}.tflite"', f'sha256 = "{evidence.sha256_of(data)}"',
            "[variants.limits]", "psnr_db = 42.0", "relative_l2 = 0.02", 'source = "made up"',
        ]  # fmt: skip
    (folder / "subject.toml").write_text("\n".join(toml))
    for frame in range(shape.frames):
        sharp = _photograph(seed * 100 + frame, shape.edge_px)
        blurred = sharp.resize((shape.edge_px // 4,) * 2).resize(sharp.size)
        sharp.save(folder / "frames" / f"frame{frame}.sharp.png")
        blurred.save(folder / "frames" / f"frame{frame}.blurred.png")
    subject = subjects.load(folder)
    for name in samples.names(subject):
        sample = samples.load(subject, name)
        target = next(iter(sample.targets.values()))
        blessed_outputs.store(subject, sample, [np.clip(target * 0.98 + 0.01, 0, 1)])
    goldens.store_list(subject)


def _photograph(seed: int, edge_px: int) -> Image.Image:
    """Return an image with large and small detail, as photographs have."""
    rng = np.random.default_rng(seed)
    layers = []
    for cells, weight in ((4, 0.6), (16, 0.25), (64, 0.1), (edge_px, 0.05)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        layers.append(weight * np.asarray(noise.resize((edge_px, edge_px), 3), np.float64))
    return Image.fromarray(np.clip(sum(layers), 0, 255).astype(np.uint8))


def run(folder: Path, shape: Shape, *, name: str = "20260101T000000Z") -> Path:
    """Write a run, its facts and images below a folder, and return its file."""
    (folder / FOLDER / "images").mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    facts: list[Taken] = []
    for number, (subject, variant, phone) in enumerate(shape.names()):
        last = phone == "phone00" and variant == VARIANTS[shape.variants - 1]
        off = shape.fallback and last
        for step, size in enumerate(shape.sizes):
            about = Key(
                device=phone, delegate="nnapi", subject=subject, variant=variant, resolution=size
            )
            cliff = 1.6 if step == len(_LARGER) and number % 5 == 0 else 1.0
            ms = 15.0 * (1 + number % 7) * _megapixels(size) * cliff
            facts += _costs(about, ms * (shape.slower if last else 1.0), off=off)
            records += _ruled(about, facts[-2].answer["estimate_ms"], off=off)
        for frame in range(shape.frames):
            records += _pixels(
                replace(about, resolution=shape.sizes[0], frame=f"frame{frame}"), number
            )
        facts += _images(folder, subject, variant, phone, shape, number)
        records += _growth(replace(about, resolution=""), number)
    return _write(folder / FOLDER / f"{name}.jsonl", records, facts, name)


def _megapixels(size: str) -> float:
    width, _, height = size.partition("x")
    return int(width) * int(height) / 1e6


def _made(kind: Evidence, about: Key) -> Provenance:
    return Provenance(
        evidence=kind, device=f"rules of {about.device}", variant_sha256="ab" * 32,
        runtime={"litert": "2.1.0", "rules": "1"}, harness_version="0.1.0",
    )  # fmt: skip


def _costs(about: Key, ms: float, *, off: bool) -> list[Taken]:
    ops = ("CONV_2D", "PRELU", "ADD", "RESIZE_BILINEAR", "CONCATENATION")
    nodes = tuple(
        NodePlacement(
            index=at, op=ops[at % len(ops)], unit="cpu" if off and at in (12, 30) else "dsp",
            reason="refused by driver 'made-up'" if off and at in (12, 30) else "",
        )
        for at in range(61)
    )  # fmt: skip
    name = f"{about.subject} {about.variant} {about.device} {about.resolution}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    shares = rng.dirichlet(np.ones(len(nodes))).tolist()
    estimate = Estimate(
        estimate_ms=ms, low_ms=ms * 0.7, high_ms=ms * 1.4, basis="made up",
        provenance=_made(Evidence.MODEL, about),
        shares={f"{node.op} #{node.index}": s for node, s in zip(nodes, shares, strict=True)},
    )  # fmt: skip
    placement = Placement(
        nodes=nodes, partitions=5 if off else 1, provenance=_made(Evidence.RULES, about)
    )
    return [_taken(about, "time", estimate), _taken(about, "place", placement)]


@functools.cache
def _file_sha256(variant: str) -> str:
    dtype = "int8" if "int8" in variant else "float32"
    return evidence.sha256_of(models.unet(size_px=64, dtype=dtype))


def _taken(about: Key, verb: str, answer: Estimate | Placement) -> Taken:
    request = f"{verb} {about.device} {about.subject} {about.variant} {about.resolution}"
    return Taken(
        **vars(about), request=evidence.sha256_of(request.encode()), verb=verb,
        file_sha256=_file_sha256(about.variant), kind=type(answer).__name__,
        answer=schema.dump(answer),
    )  # fmt: skip


def _record(
    about: Key, metric: Metric, value: float, limit: float, kind: Evidence, cause: str = ""
) -> Record:
    at = about.frame or about.resolution
    name = f"{about.device}:{about.delegate}-{about.subject}.{about.variant}"
    fits = metric.sense.keeps(value, limit)
    return Record(
        **vars(about),
        test=f"harness/gates/test_{metric.gate}.py::test_it[{name}{f'-{at}' if at else ''}]",
        verdict=Verdict(
            gate=metric.gate, metric=metric.name, sense=metric.sense, unit=metric.unit,
            observed=value, limit=limit, outcome=Outcome.PASS if fits else Outcome.FAIL,
            provenance=_made(kind, about), cause="" if fits else cause,
            remedy="RESIZE_BILINEAR + CONV_2D is accepted here" if cause and not fits else "",
        ),
    )  # fmt: skip


def _ruled(about: Key, ms: float, *, off: bool) -> list[Record]:
    cause = "2 of 61 ops on CPU (PRELU #12, RESIZE_BILINEAR #30: refused by driver 'made-up')"
    return [
        _record(about, metrics.LATENCY_MS, ms, 300.0, Evidence.MODEL, "most of it CONV_2D #0 40%"),
        _record(about, metrics.CPU_OPS, 2.0 if off else 0.0, 0.0, Evidence.RULES, cause),
        _record(about, metrics.PARTITIONS, 5.0 if off else 1.0, 1.0, Evidence.RULES, cause),
    ]


def _pixels(about: Key, number: int) -> list[Record]:
    values = (47.0 - number % 7, 0.004, 41.0 - number % 7, 0.02 * (number % 8), 0.0)
    return [
        _record(about, metric, value, limit, Evidence.PHONE, "worst tile at 32,64")
        for (metric, limit), value in zip(_LIMITS.items(), values, strict=True)
    ]


def _growth(about: Key, number: int) -> list[Record]:
    steep = 1.6 if number % 5 == 0 else 1.0
    return [
        _record(about, metrics.SCALING_EXPONENT, 1.05, 1.1, Evidence.MODEL),
        _record(
            about, metrics.CLIFF_RATIO, steep, 1.25, Evidence.MODEL,
            "ms per megapixel jumps at 1024x576 -> 1280x720: cause unknown",
        ),
        _record(about, metrics.PLACEMENT_CHANGES, 0.0, 0.0, Evidence.RULES),
    ]  # fmt: skip


def _images(
    folder: Path, subject: str, variant: str, phone: str, shape: Shape, seed: int
) -> Iterator[Taken]:
    """Yield what a phone made of each frame, and write it as a phone's image is kept."""
    if not shape.frames:
        return
    loaded = subjects.load(folder / "golden" / subject)
    for frame, name in enumerate(samples.names(loaded)):
        blessed = goldens.load(loaded, name)
        request = evidence.sha256_of(f"run {phone} {subject} {variant} {name}".encode())
        made = _noisy(blessed.fp32_output, seed * shape.frames + frame)
        np.save(folder / FOLDER / "images" / f"{request}.0.npy", made)
        about = Key(
            device=phone,
            delegate="nnapi",
            subject=subject,
            variant=variant,
            resolution=shape.sizes[0],
        )
        yield Taken(
            **vars(about), request=request, verb="run", kind="Output",
            file_sha256=_file_sha256(variant),
            answer={
                "provenance": schema.dump(_made(Evidence.PHONE, about)), "outputs": [""],
                "inputs_sha256": blessed.inputs.sha256,
            },
        )  # fmt: skip


def _noisy(pixels: Pixels, seed: int) -> Pixels:
    """Return an image with the error of rounding: small, and not alike in all places."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (1, 8, 8, 3)).repeat(pixels.shape[1] // 8, 1)
    noise = rng.normal(0, 0.003, pixels.shape) * (1 + coarse.repeat(pixels.shape[2] // 8, 2) ** 2)
    made: Pixels = np.clip(pixels + noise, 0, 1).astype(np.float32)
    return made


def _write(path: Path, records: Sequence[Record], facts: Sequence[Taken], name: str) -> Path:
    when = f"{name[:4]}-{name[4:6]}-{name[6:8]}T00:00:00+00:00"
    head = Run(
        schema=SCHEMA, id=name, command=("pytest", "--device=all"), host="lab", time_utc=when,
        git_commit="c0ffee" * 6, versions={"pytest-device-harness": "0.1.0"},
    )  # fmt: skip
    planned = Planned(tests=tuple(dict.fromkeys(record.test for record in records)))
    held = [
        ("run", head), ("plan", planned), *(("fact", one) for one in facts),
        *(("verdict", one) for one in records), ("end", End(time_utc=when, exit_code=1)),
    ]  # fmt: skip
    lines = (json.dumps({kind: schema.dump(one)}) + "\n" for kind, one in held)
    path.write_text("".join(lines), encoding="utf-8")
    return path
