"""The study as a page of Markdown and one CSV per table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.study import claims as paper_claims
from harness.study import tables as paper_tables
from harness.study.claims import Claim
from harness.study.facts import Study
from harness.study.tables import Table


def render(tables: Sequence[Table], claims: Sequence[Claim], *, command: str) -> str:
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
        parts += [f"## {table.title}", table.markdown()]
    parts.append("## Claims")
    parts.append(
        Table(
            name="claims",
            title="Claims",
            header=("the paper", "here", "", "evidence"),
            rows=tuple((c.claimed, c.found, words[c.agrees], c.evidence) for c in claims),
        ).markdown()
    )
    return "\n\n".join(parts) + "\n"


def write(study: Study, folder: Path, *, command: str) -> tuple[Path, ...]:
    """Write the study into a folder: `paper.md` and one CSV per table."""
    tables, claims = paper_tables.draw(study), paper_claims.check(study)
    folder.mkdir(parents=True, exist_ok=True)
    pages = {folder / f"{table.name}.csv": table.csv() for table in tables}
    pages[folder / "paper.md"] = render(tables, claims, command=command)
    for path, text in pages.items():
        path.write_text(text)
    return tuple(pages)
