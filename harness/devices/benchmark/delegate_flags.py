"""The flags by which a benchmark tool is asked for a delegate."""

from dataclasses import dataclass

from harness.devices.benchmark import litert_tools
from harness.errors import ConfigError
from harness.profiles import GPU_FP32


@dataclass(frozen=True, kw_only=True)
class ExternalDelegate:
    """A delegate library to load, such as Qualcomm's QNN or MediaTek's Neuron.

    Attributes:
        path: The library on the phone; the vendor's other libraries lie beside it, DSP code
            included.
        options: Its options, written `key:value;key:value`.
    """

    path: str
    options: str = ""


def ask_for(
    delegate: str,
    *,
    accelerator: str,
    allow_fp16: bool,
    external: ExternalDelegate | None = None,
    flags: frozenset[str] | None = None,
) -> tuple[str, ...]:
    """Return the flags that ask for a delegate.

    Args:
        delegate: nnapi, gpu, gpu-fp32, cpu, hexagon, or any name with an external delegate's
            library.
        accelerator: NNAPI's name of the unit, such as `google-edgetpu`; '' lets NNAPI choose.
        allow_fp16: Let float32 models be computed in float16.
        external: The library to load; asks for it whatever the delegate is called.
        flags: What the build knows, or None to assume all.

    Raises:
        ConfigError: the delegate needs a library that is not named, or the build lacks it.
    """
    wanted = _wanted(delegate, accelerator, allow_fp16, external, flags)
    essential, optional = wanted[0], wanted[1:]
    if flags is not None:
        name = essential.partition("=")[0]
        if name not in flags:
            raise ConfigError(f"this benchmark tool has no flag --{name}; fetch a newer build")
        optional = [flag for flag in optional if flag.partition("=")[0] in flags]
    return tuple(f"--{flag}" for flag in (essential, *optional))


def _wanted(
    delegate: str,
    accelerator: str,
    allow_fp16: bool,
    external: ExternalDelegate | None,
    flags: frozenset[str] | None,
) -> list[str]:
    """Return flags as `NAME=VALUE`: first the one that asks for the delegate, then its settings."""
    if external is not None:
        wanted = [f"external_delegate_path={external.path}"]
        if external.options:
            wanted.append(f"external_delegate_options={external.options}")
    elif delegate == "nnapi":
        wanted = ["use_nnapi=true", f"nnapi_allow_fp16={boolean(allow_fp16)}"]
        wanted.append("disable_nnapi_cpu=true")
        if accelerator:
            wanted.append(f"nnapi_accelerator_name={accelerator}")
    elif delegate in ("gpu", GPU_FP32):
        wanted = ["use_gpu=true", f"gpu_precision_loss_allowed={boolean(allow_fp16)}"]
        if flags is not None and not allow_fp16:
            wanted.append("gpu-precision=fp32")
            if not flags & {"gpu_precision_loss_allowed", "gpu-precision", "allow_fp16"}:
                raise ConfigError(
                    "this benchmark tool cannot be told to compute in float32 on the GPU; fetch "
                    "a newer build"
                )
    elif delegate == "cpu":
        wanted = [
            "use_cpu=true" if flags and litert_tools.is_litert_2(flags) else "use_xnnpack=true"
        ]
        if allow_fp16:
            wanted.append("xnnpack_force_fp16=true")
    elif delegate == "npu":
        wanted = ["use_npu=true"]
        if flags is not None and not litert_tools.is_litert_2(flags):
            raise ConfigError(
                "TensorFlow Lite's benchmark tool reaches no NPU; name the folder of LiteRT 2's "
                "tools with the ini key `litert_tools`"
            )
    elif delegate == "hexagon":
        wanted = ["use_hexagon=true"]
    else:
        raise ConfigError(
            f"the benchmark tool has no delegate {delegate!r} of its own; name the delegate's "
            "library on the phone and its options, or use nnapi, gpu, cpu or hexagon"
        )
    return wanted


def boolean(value: bool) -> str:
    """Write a flag's value as the tool reads it."""
    return "true" if value else "false"
