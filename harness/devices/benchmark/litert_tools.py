"""Speak the language of LiteRT 2's tools, where it is not that of TensorFlow Lite's.

Source: google-ai-edge/LiteRT, litert/tools: benchmark_litert_model.h and run_model.cc.
"""

from harness.errors import ConfigError
from harness.profiles import GPU_FP32

RUN_MODEL = "run_model"


def is_litert_2(flags: frozenset[str]) -> bool:
    """Return whether a build is LiteRT 2's tool: TensorFlow Lite's knows no NPU."""
    return "use_npu" in flags


def accelerator_flags(delegate: str, *, allow_fp16: bool) -> tuple[str, ...]:
    """Return the flags that ask LiteRT 2's other tools for a delegate.

    Raises:
        ConfigError: they have no such delegate.
    """
    names = {"cpu": "cpu", "gpu": "gpu,cpu", GPU_FP32: "gpu,cpu", "npu": "npu,cpu"}
    if delegate not in names:
        raise ConfigError(
            f"LiteRT 2's tools have no delegate {delegate!r}; use cpu, gpu, gpu-fp32 or npu, or "
            "TensorFlow Lite's benchmark_model"
        )
    precise = ("--gpu_precision=fp32",) if "gpu" in delegate and not allow_fp16 else ()
    return (f"--accelerator={names[delegate]}", *precise)
