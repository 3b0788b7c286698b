"""Define every error the harness raises.

    HarnessError            the harness, or what it was given, broke
    ├── ConfigError         a setting, profile, subject or command line is wrong
    ├── BlessedDataError    a golden, reference or baseline is missing, stale or damaged
    ├── ModelError          a .tflite cannot be read, resized or run
    ├── DeviceError         a device, its driver or its software stack failed
    │   └── StackMissing    a host stack or tool is not installed here
    ├── MeasurementError    a measurement was taken but must not be used
    └── NetworkError        a server could not be reached, or gave no answer that is of use
    GateError               a gate ruled and did not pass (an AssertionError)
    └── InconclusiveError   a gate had no evidence or no limit to rule by

A message says what happened, what was expected and what to do. It often quotes a model, a phone
or a file, so it is made printable here, whoever raises it.
"""

from harness import text


class HarnessError(Exception):
    """A failure of the harness or of one of its inputs."""

    def __init__(self, message: str = "") -> None:
        """Keep a message as one printable line of bounded length."""
        super().__init__(text.line(message))


class ConfigError(HarnessError):
    """A wrong setting, profile, subject file or command line."""


class BlessedDataError(HarnessError):
    """A golden, reference or baseline that is missing, stale or damaged."""


class ModelError(HarnessError):
    """A .tflite file that cannot be read, resized or run."""


class DeviceError(HarnessError):
    """A device, driver or software stack that failed."""


class StackMissing(DeviceError):
    """A host stack or tool that is not installed; the message holds the command."""


class TimeLimitError(DeviceError):
    """A host stack that gave no answer within its limit on time."""


class MeasurementError(HarnessError):
    """A measurement that was taken but must not be used."""


class NetworkError(HarnessError):
    """A server that could not be reached, or gave no answer that is of use."""


class GateError(AssertionError):
    """A gate that ruled and did not pass."""

    def __init__(self, message: str = "") -> None:
        """Keep a message as printable lines, one for each verdict."""
        super().__init__(text.lines(message))


class InconclusiveError(GateError):
    """A gate that had no evidence or no limit to rule by."""
