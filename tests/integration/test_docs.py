"""Run the commands that README.md and docs/ print, as a reader would, and check what they name.

A fenced block marked `console` is a session: lines that begin with `$ ` are commands, a line
that ends in a backslash goes on in the next, the other lines are what they print. The commands
of one page run in one shell, in a copy of the checkout. HTML comments in front of a block:

    <!-- not run: REASON -->   leave the block out, such as one that needs a phone
    <!-- exits N -->           every command of the block ends with N, not 0
    <!-- prints -->            the block's other lines must be printed; `...` stands for anything
    <!-- file: PATH -->        no session: the block is a file that the reader writes
"""

import os
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import child, metrics

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PAGE_LIMIT_S = 900.0
"""Only a page that hangs takes so long."""
BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^\n]*-->\n+)*)^```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S
)
NOTE = re.compile(r"<!--\s*(not run|exits|prints|file):?\s*(.*?)\s*-->")
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:|#)([^)#\s]+)")
PATH = re.compile(r"`((?:harness|tests|docs)/[a-z0-9_/]*(?:\.py|\.md|/))`")  # not NAME.py
COPIED = ("golden", "examples", "device_profiles", "docs", "pyproject.toml", "README.md")


@dataclass(frozen=True, kw_only=True)
class Step:
    """Hold one command of a page, or one file that the reader writes."""

    command: str
    exit_code: int = 0
    printed: tuple[str, ...] = ()
    file: str = ""


def steps_of(text: str) -> Iterator[Step]:
    """Yield what a page asks its reader to do."""
    for block in BLOCK.finditer(text):
        notes = dict(NOTE.findall(block["notes"]))
        if "file" in notes:
            yield Step(command=block["body"], file=notes["file"])
        elif block["kind"] == "console" and "not run" not in notes:
            exit_code = int(notes.get("exits", 0))
            for command, printed in sessions(block["body"]):
                checked = tuple(printed) if "prints" in notes else ()
                yield Step(command=command, exit_code=exit_code, printed=checked)


def sessions(body: str) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in body.splitlines():
        if goes_on:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
            goes_on = line.endswith("\\")
        elif line.startswith("$ "):
            found.append((line[2:], []))
            goes_on = line.endswith("\\")
        elif found and line.strip():
            found[-1][1].append(line)
    return found


def script_of(steps: list[Step], logs: Path) -> str:
    """Return a shell script that takes the steps, logs each, and stops at the first surprise."""
    lines = []
    for number, step in enumerate(steps):
        if step.file:
            name = shlex.quote(step.file)
            lines.append(f"mkdir -p \"$(dirname {name})\" && cat > {name} <<'END_OF_FILE'")
            lines.append(f"{step.command}END_OF_FILE")
            continue
        lines.append(f"{{ {step.command}\n}} > {shlex.quote(str(logs / str(number)))} 2>&1")
        lines.append(f"code=$?; [ $code = {step.exit_code} ] || {{ echo {number} $code; exit 1; }}")
    return "\n".join(lines)


def fits(wanted: str, line: str) -> bool:
    """Return whether a printed line is the documented one; `...` stands for anything."""
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in wanted.split("..."))
    return re.fullmatch(pattern, " ".join(line.split())) is not None


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what the commands of the pages read and write."""
    copy = tmp_path / "checkout"
    (copy / "tests").mkdir(parents=True)  # pyproject.toml names it
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        elif source.exists():
            shutil.copy2(source, copy / name)
    return copy


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_commands() -> list[Path]:
    return [page for page in PAGES if any(steps_of(page.read_text(encoding="utf-8")))]


@pytest.mark.slow
@pytest.mark.parametrize("page", with_commands(), ids=page_id)
def test_the_commands_of_a_page_end_as_it_says(page: Path, checkout: Path, tmp_path: Path) -> None:
    steps = list(steps_of(page.read_text(encoding="utf-8")))
    logs = tmp_path / "logs"
    logs.mkdir()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(temporary),
        "COLUMNS": "80",
        "ADB_SERVER_SOCKET": "tcp:127.0.0.1:1",  # nobody listens: no phone is attached
        "NO_COLOR": "1",
        "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:benchmark",
    }
    script = tmp_path / "page.sh"
    script.write_text(script_of(steps, logs), encoding="utf-8")

    done = child.run(
        ["bash", script], stage=page_id(page), timeout_s=PAGE_LIMIT_S, env=env, cwd=checkout
    )

    if done.exit_code != 0:
        number, code = map(int, done.stdout.split())
        log = (logs / str(number)).read_text(encoding="utf-8", errors="replace")
        pytest.fail(f"`{steps[number].command}` ended with {code}:\n{log[-4000:]}", pytrace=False)
    for number, step in enumerate(steps):
        if step.printed:
            lines = (logs / str(number)).read_text(encoding="utf-8").splitlines()
            missing = [want for want in step.printed if not any(fits(want, line) for line in lines)]
            assert not missing, "\n".join([f"`{step.command}` printed:", *lines])


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    linked = [page.parent / link for link in LINK.findall(text)]
    named = [ROOT / path for path in PATH.findall(text)]

    assert [str(path) for path in (*linked, *named) if not path.exists()] == []


def test_the_layout_has_a_line_for_every_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {
        path.name if path.suffix else f"{path.name}/"
        for path in (ROOT / "harness").iterdir()
        if path.name[0] not in "_." and (path.suffix == ".py" or (path / "__init__.py").exists())
    }

    assert sorted(name for name in modules if f"| `{name}`" not in page) == []


def test_the_order_of_imports_is_the_one_that_ci_enforces() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")

    assert "```text\n" + "\n".join(contract["layers"]) + "\n```" in page


def test_a_session_joins_continued_lines_and_keeps_what_is_printed() -> None:
    body = "$ one \\\n    two\nprinted\n\n$ three\n"

    assert sessions(body) == [("one \\\n    two", ["printed"]), ("three", [])]


def test_comments_in_front_of_a_block_say_how_it_runs() -> None:
    text = (
        "<!-- not run: needs a phone -->\n```console\n$ a\n```\n"
        "<!-- exits 1 -->\n<!-- prints -->\n```console\n$ b\nout\n```\n"
        "<!-- file: c.toml -->\n```toml\nd = 1\n```\n"
        "```text\n$ no session\n```\n"
    )

    assert list(steps_of(text)) == [
        Step(command="b", exit_code=1, printed=("out",)),
        Step(command="d = 1\n", file="c.toml"),
    ]


def test_the_table_of_metrics_is_the_one_that_the_gates_use() -> None:
    text = (ROOT / "docs" / "guides" / "read-a-verdict.md").read_text(encoding="utf-8")
    table = text[text.index("| gate | metric |") :].split("\n\n", 1)[0].splitlines()[2:]

    rows = [tuple(cell.strip() for cell in row.split("|")[1:6]) for row in table]

    assert rows == [
        (metric.gate, f"`{metric.name}`", metric.unit, metric.sense.value, metric.about)
        for metric in metrics.ALL
    ]


def test_no_two_metrics_of_a_gate_share_a_name_and_one_heads_its_column() -> None:
    names = [(metric.gate, metric.name) for metric in metrics.ALL]
    heads = [metric.gate for metric in metrics.ALL if metric.heading]

    assert len(set(names)) == len(names)
    assert sorted(heads) == sorted({metric.gate for metric in metrics.ALL})
