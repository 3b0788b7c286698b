"""Say how a phone is measured: the tool's settings, the phone's state, effort and limits."""

from dataclasses import dataclass, field
from pathlib import Path

from harness.devices.benchmark import benchmark_tool
from harness.devices.benchmark.benchmark_tool import Preset
from harness.devices.benchmark.delegate_flags import ExternalDelegate
from harness.devices.benchmark.timing import Effort
from harness.devices.phone.device_state import Contract
from harness.sequential import StoppingRule


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How a phone is measured.

    Attributes:
        preset: Runs, threads, fp16 and pinning of the tool.
        contract: The state that the phone must be in.
        effort: How often a timing is repeated.
        plan: How often candidate and baseline are paired.
        run_limit_s: Longest run of the tool.
        recover_s: Longest wait for a phone that went away.
        external: Delegate library for a delegate that the tool does not have itself.
        npu_libraries: Files and folders on this host with libraries that LiteRT 2 reaches NPUs by.
        fixed_performance: Bound the clocks while measuring, where Android can.
        lock_owner: Who takes the phone's lock, in hex digits, or '' for this process alone.
        lock_wait_s: Longest wait for another harness to give the phone back.
    """

    preset: Preset = benchmark_tool.STANDARD
    contract: Contract = field(default_factory=Contract)
    effort: Effort = field(default_factory=Effort)
    plan: StoppingRule = field(default_factory=StoppingRule)
    run_limit_s: float = 300.0
    recover_s: float = 20.0
    external: ExternalDelegate | None = None
    npu_libraries: tuple[Path, ...] = ()
    fixed_performance: bool = True
    lock_owner: str = ""
    lock_wait_s: float = 0.0
