"""Write scripts that stand in for the benchmark tool, so that two cores carry many phones."""

from pathlib import Path

from harness.devices.fake_phone.benchmark_model import FLAGS

_PLANTED = r"""
F=$HARNESS_FAKE_PHONE/state/faults
planted() { [ -e "$F/$1" ] && rm "$F/$1"; }
planted tool_aborts && kill -ABRT $$
# A phone's tool has no child that would outlive it.
planted tool_hangs && mkfifo "$F/never$$" && read -r never <>"$F/never$$"
planted tool_prints_garbage && { head -c 4000 /dev/urandom; exit 0; }
"""
_SLEEPING = r"""#!/bin/sh
case $* in *--help*) printf '\t--%s\t\n' FLAGS >&2; exit 1 ;; esac
in=/dev/null out=/dev/null
for a; do case $a in
  --graph=*) graph=${a##*/} ;;
  --input_layer_value_files=*) in=/${a#*/} ;;
  --output_filepath=*) out=${a#*=} ;;
esac; done
echo "${graph%-model.tflite}" >>"$HARNESS_FAKE_PHONE/state/runs"
PLANTED
sleep PAUSE_S
keep=4096; planted output_wrong_size && keep=100
{ printf %.4s "$graph"; tail -c +5 "$in"; } | head -c $keep >"$out"
for runs in 1 50; do echo "INFO: count=$runs first=100 curr=100 min=100 max=100 avg=100 std=0"; done
echo "INFO: Inference timings in us: Init: 100, First inference: 100, Warmup (avg): 100," \
  "Inference (avg): 100"
"""
_REMEMBERING = r"""#!/bin/sh
case $* in *--help*) exec REAL "$@" ;; esac
PLANTED
out=
key=$(for a; do case $a in
  --graph=*) cat "${a#*=}" ;;
  --input_layer_value_files=*) cat "/${a#*/}" ;;
  --*_filepath=* | --*_file_path=* | --*_output_file=*) echo "${a%%=*}" ;;
  *) echo "$a" ;;
esac; done | sha256sum | cut -c 1-64)
files() { for a; do case $a in
  --output_filepath=* | --result_file_path=* | --model_runtime_info_output_file=*)
    [ -z "${a#*=}" ] || echo "${a#--}" ;;
esac; done; }
if [ ! -e "MEMORY/$key" ]; then
  new=MEMORY/$key.$$; mkdir -p "$new"
  echo "$@" >"$new/asked"
  REAL "$@" >"$new/stdout" 2>"$new/stderr"; echo $? >"$new/code"
  files "$@" | while IFS='=' read -r name path; do cp "$path" "$new/$name"; done
  mv -T "$new" "MEMORY/$key" 2>/dev/null || rm -r "$new"
fi
cat "MEMORY/$key/stdout"; cat "MEMORY/$key/stderr" >&2
files "$@" | while IFS='=' read -r name path; do cp "MEMORY/$key/$name" "$path"; done
planted output_wrong_size && files "$@" | while IFS='=' read -r name path; do
  [ "$name" != output_filepath ] || truncate -s 100 "$path"
done
exit "$(cat "MEMORY/$key/code")"
"""


def write_sleeping(path: Path, pause_s: float) -> None:
    """Write a tool that sleeps and gives the input back, marked with the model's hash.

    Every answer is known beforehand: the first value of an output is the start of that hash.
    """
    text = _SLEEPING.replace("PAUSE_S", f"{pause_s:g}").replace("FLAGS", " ".join(FLAGS["2022"]))
    _write(path, text)


def write_remembering(path: Path, real: Path) -> None:
    """Write a tool that answers as a fake phone's did, on any phone, when it was first asked so.

    Args:
        path: The tool.
        real: The fake phone's tool, which runs models.
    """
    memory = path.parent / "remembered"
    memory.mkdir()
    _write(path, _REMEMBERING.replace("REAL", f"'{real}'").replace("MEMORY", str(memory)))


def _write(path: Path, text: str) -> None:
    path.write_text(text.replace("PLANTED", _PLANTED.strip()))
    path.chmod(0o755)
