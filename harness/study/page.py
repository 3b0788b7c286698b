"""The study as a page of Markdown and one CSV per table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import extras
from harness.errors import StackMissing
from harness.study import claims as paper_claims
from harness.study import curves, held_out, plane
from harness.study import tables as paper_tables
from harness.study.claims import Claim
from harness.study.facts import Study
from harness.study.tables import Table


def render(
    tables: Sequence[Table], claims: Sequence[Claim], *, command: str, pictures: Sequence[str] = ()
) -> str:
    """Return the study as Markdown."""
    words = {True: "agrees", False: "does not agree", None: "cannot say"}
    parts = [
        "# The paper's tables on our subjects",
        f"Made by `{command}`; the tables lie beside this page as CSV.",
        "PSNR is the mean over held-out frames against the sharp target, peak 1. Gains over the "
        "blurred frame, drops against FP32 and differences of networks are paired over the same "
        "frames. In brackets: 95 % intervals of a bootstrap over whole photographs, because frames "
        "of one photograph are not independent. A claim agrees, or does not, only where its "
        "interval lies wholly on one side; else nobody can say. "
        "Latency is an estimate (MODEL) with its 90 % interval, never a measurement; on "
        "phones without public figures it is given as a ratio to deblur_unet.fp32 on the same "
        "phone. Fallbacks are by published op rules and driver refusals (RULES).",
    ]
    for table in tables:
        parts.append(f"## {table.title}")
        if table.name in pictures:
            parts.append(f"![{table.title}]({table.name}.svg)")
        parts.append(table.markdown())
    parts.append("## Claims")
    parts.append(
        Table(
            name="claims",
            title="Claims",
            header=("the paper", "here", "", "evidence"),
            rows=tuple((c.claimed, c.found, words[c.agrees], c.evidence) for c in claims),
        ).markdown()
    )
    subjects = sorted({subject for claim in claims for subject in claim.subjects})
    records = [f"[{name}](../../golden/{name}/{held_out.RECORD})" for name in subjects]
    if records:
        parts.append(f"Frame by frame: {', '.join(records)}.")
    return "\n\n".join(parts) + "\n"


def write(study: Study, folder: Path, *, command: str) -> tuple[Path, ...]:
    """Write the study into a folder: `paper.md`, one CSV per table, and the pictures.

    Learning curves are drawn from the `learning_curves.csv` that lies in the folder, if one does.

    Raises:
        StackMissing: matplotlib is not installed.
    """
    try:  # only where pictures are drawn
        from harness.study import pictures as drawing
    except ModuleNotFoundError as error:
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('study')} adds it"
        ) from None

    found = plane.points(study)
    learned = curves.load(folder / curves.NAME) if (folder / curves.NAME).is_file() else {}
    tables = [
        *paper_tables.draw(study), plane.pruning_table(study, found), plane.plane_table(found),
    ]  # fmt: skip
    if learned:
        tables.append(curves.table(learned))
    claims = paper_claims.check(study)
    folder.mkdir(parents=True, exist_ok=True)
    pages = {folder / f"{table.name}.csv": table.csv().encode() for table in tables}
    pictures = {"plane": drawing.plane(found)} if found else {}
    if learned:
        pictures["trainings"] = drawing.curves(learned)
    pages |= {folder / f"{name}.svg": picture for name, picture in pictures.items()}
    text = render(tables, claims, command=command, pictures=tuple(pictures))
    pages[folder / "paper.md"] = text.encode()
    for path, content in pages.items():
        path.write_bytes(content)
    return tuple(pages)
