"""Rank rewrites of a model by what they gain on phones."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from harness import advice, schema
from harness import model as models
from harness.advice import Advice, Effect, Limit
from harness.cli import shared
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, HarnessError
from harness.images import Size
from harness.latency import Estimate
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from harness.stacks import xnnpack

_Answer = tuple[Limit | None, Limit | None] | str
"""The largest resolution and the most MACs within a budget, or why there is no answer."""

_SIZES = ("256x256", "512x288", "768x432", "1024x576", "1280x720", "1920x1080")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness advise`."""
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument(
        "--device",
        action="append",
        required=True,
        metavar="NAME[:DELEGATE]",
        help="phone to ship to; repeat it, or a comma list: the gain is over all of them",
    )
    parser.add_argument("--size", metavar="WxH", help="resolution, default the model's own")
    parser.add_argument(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="also find the largest resolution, and the MACs for this one, within so much time",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the model after all rewrites that keep its pixels and gain time here",
    )
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print the rewrites, best first."""
    if options.budget_ms is not None and options.budget_ms <= 0.0:
        raise ConfigError(f"--budget-ms={options.budget_ms:g}: a budget is more than 0 ms")
    model = models.load(options.model).asked(options.size)
    asked = shared.every_target(shared.load_profiles(options), options.device)
    targets = _answering(model, asked)
    found = advice.advise(model, targets, _place, run=xnnpack.execute)
    if options.out is not None:
        _write(model, found, options.out)
    limits = {
        str(target): _limits(model, target, options.budget_ms)
        for target in targets
        if options.budget_ms is not None
    }
    if options.json:
        print(json.dumps({"advice": schema.dump(found), "limits": _as_json(limits)}, indent=1))
        return 0
    console = shared.console()
    console.print(_table(found) if found else "no rewrite applies to this model")
    for line in _relative(found):
        console.print(line)
    for target, answer in limits.items():
        console.print(f"{target} in {options.budget_ms:g} ms: {_limit_text(answer)}")
    if any(one.same_db is None for one in found):
        console.print("Estimates of rewritten files with zero weights: train the changed network.")
    if any(one.same_db is not None for one in found) and options.out is None:
        console.print("What keeps the pixels is written by --out FILE, with the weights it has.")
    return 0


def _answering(model: Model, asked: Sequence[Target]) -> list[Target]:
    """Return the phones of which something can be said; say of the others why not.

    Raises:
        HarnessError: nothing can be said of any.
    """
    refusals: dict[str, HarnessError] = {}
    for target in asked:
        try:
            advice.unjudgeable(model, target, _place)
        except HarnessError as error:
            refusals[str(target)] = error
    targets = [target for target in asked if str(target) not in refusals]
    for name, refusal in refusals.items():
        if not targets:
            raise refusal
        print(f"Left out {name}: {refusal}", file=sys.stderr)
    return targets


def _write(model: Model, found: tuple[Advice, ...], out: Path) -> None:
    """Write the model after all rewrites that keep its pixels and gain time.

    Raises:
        ConfigError: there is none, or the file exists.
    """
    if out.exists():
        raise ConfigError(f"--out {out}: exists already; name another file")
    changed, made = advice.improved(model, found, run=xnnpack.execute)
    if not made:
        raise ConfigError(
            "--out: no rewrite keeps the pixels and gains time here, nothing is written"
        )
    out.write_bytes(changed.data)
    print(f"Wrote {out}: {'; '.join(made)}", file=sys.stderr)


def _place(model: Model, target: Target) -> Placement:
    """Place a model by the strongest software of the phone that this host has."""
    return Emulated(target).place(model)


def _limits(model: Model, target: Target, budget_ms: float) -> _Answer:
    why = advice.unjudgeable(model, target, _place)
    if why:
        return why
    sizes = [Size.parse(size) for size in _SIZES]
    return (
        advice.largest_size(model, target, _place, budget_ms=budget_ms, sizes=sizes),
        advice.mac_target(model, target, _place, budget_ms=budget_ms),
    )


def _as_json(limits: dict[str, _Answer]) -> dict[str, object]:
    return {
        target: {"error": answer} if isinstance(answer, str) else schema.dump(answer)
        for target, answer in limits.items()
    }


def _limit_text(answer: _Answer) -> str:
    if isinstance(answer, str):
        return f"no answer, estimates here are relative: {answer}; attach this phone to judge it"
    largest, thinned = answer
    size = "no resolution fits with its whole interval"
    if largest is not None:
        size = f"largest resolution {largest.size}, {_interval(largest.estimate)} ms"
    if thinned is None:
        return f"{size}; no pruning of channels alone fits at this one"
    return (
        f"{size}; at {thinned.size} up to {thinned.gmacs:.2f} GMAC ({thinned.macs_share:.0%}), "
        f"{_interval(thinned.estimate)} ms"
    )


def _interval(found: Estimate) -> str:
    return f"{found.estimate_ms:.3g} ({found.low_ms:.3g} to {found.high_ms:.3g})"


def _table(found: tuple[Advice, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("rewrite", "gain", "phone", "ms (90 % interval)", "CPU ops", "GMAC"):
        table.add_column(column, overflow="fold")
    for one in found:
        for number, effect in enumerate(one.effects):
            first = number == 0
            after = "?" if effect.cpu_ops_after is None else str(effect.cpu_ops_after)
            table.add_row(
                f"{one.rewrite}{_pixels(one)}" if first else "",
                f"{one.gain_share:+.0%}" if first else "",
                effect.target,
                _change(effect),
                f"{effect.cpu_ops_before} -> {after}",
                f"{one.gmacs_before:.2f} -> {one.gmacs_after:.2f}" if first else "",
            )
    return table


def _pixels(one: Advice) -> str:
    """Return what is to be said of the pixels of a rewrite that keeps the weights."""
    if one.same_db is None:
        return ""
    alike = "same pixels" if math.isinf(one.same_db) else f"pixels alike to {one.same_db:.0f} dB"
    return f" ({alike})"


def _change(effect: Effect) -> str:
    """Return milliseconds where figures of the phone are behind them, else their ratio."""
    if effect.absolute:
        after = effect.problem if effect.after is None else _interval(effect.after)
        return f"{_interval(effect.before)} -> {after}"
    return effect.problem if effect.ratio is None else f"relative: x {effect.ratio:.2f}"


def _relative(found: tuple[Advice, ...]) -> list[str]:
    """Return, once for each phone, why its estimates are only relative."""
    reasons = {
        effect.target: (effect.after or effect.before).basis
        if effect.before.absolute
        else effect.before.basis
        for one in found
        for effect in one.effects
        if not effect.absolute
    }
    return [f"{target} is relative only: {why}" for target, why in reasons.items()]
