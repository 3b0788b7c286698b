"""What a fake phone draws: power rails that count, and a battery whose current can be read.

Its rails count 400 mW of the idle phone, and what each inference takes. They are read by the
phone's own `cat`, which works out what they stand at.
"""

import time
from pathlib import Path

IDLE_MW = 400
IDLE_MA = 100
_RAILS = "bus/iio/devices/iio:device0/energy_value"
_BATTERY = "class/power_supply/battery"
CAT = f"""
case "$*" in
  *energy_value)
    /bin/cat "$1" >/dev/null 2>&1 || exit 1
    read up rest </proc/uptime; ms=${{up%.*}}${{up#*.}}0
    taken=$(/bin/cat "$S/energy_uws" 2>/dev/null || echo 0)
    echo "t=$ms"; echo "CH0(T=$ms)[S1M_VDD_CPU], $(({IDLE_MW} * ms + taken))"
    echo "CH1(T=$ms)[S2M_VDD_GPU], 0" ;;
  *) exec /bin/cat "$@" ;;
esac
"""
"""Shell of the phone's `cat`; milliwatts times milliseconds are microwatt seconds."""


def switch(sys: str, inference_mj: float, busy_ma: float) -> None:
    """Give the phone rails and a readable battery, or take them away."""
    for path, there, text in (
        (Path(sys, _RAILS), inference_mj > 0, ""),
        (Path(sys, _BATTERY, "current_now"), busy_ma > 0, f"{-IDLE_MA * 1000}\n"),
        (Path(sys, _BATTERY, "voltage_now"), busy_ma > 0, "4000000\n"),
    ):
        if there:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            path.unlink(missing_ok=True)


def count(state: Path, inferences: int, inference_mj: float) -> None:
    """Let the rails count what inferences took."""
    if inference_mj > 0:
        file = state / "energy_uws"
        before = int(file.read_text()) if file.exists() else 0
        file.write_text(str(before + round(inferences * inference_mj * 1000)))


def draw(sys: str, busy_ma: float, seconds: float) -> None:
    """Draw more from the battery for some seconds."""
    if busy_ma > 0:
        current = Path(sys, _BATTERY, "current_now")
        current.write_text(f"{-busy_ma * 1000:.0f}\n")
        try:
            time.sleep(seconds)
        finally:
            current.write_text(f"{-IDLE_MA * 1000}\n")
