"""Hold a phone: a lock that expires, and a journal of every setting that was changed.

Both live on the phone, so that a harness that crashed, or a phone that was unplugged, leaves
nothing behind that the next run does not clean up. The lock's expiry is counted in the phone's
uptime, within one boot: wall clocks jump. What is changed is first written to the journal.
"""

import os
import shlex
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from harness import text
from harness.devices.phone.adb import AdbConnection, CommandResult
from harness.errors import DeviceError

HOME = "/data/local/tmp/pytest-device-harness"
"""Folder on the phone that holds everything of ours."""
RUN = f"{HOME}/run"
STORE = f"{HOME}/store"
_SHELL_LIMIT_S = 30.0
_LEASE_S_MAX = 86_400
"""Longest lease; one run of the tool takes minutes."""
_WAIT_STEP_S = 1.0
_LOCKED = 41
_DAMAGED = 43
_NO_FOLDER = 40

_ENTER = """
mkdir -p {home} {store} {run} || exit 40
read up rest </proc/uptime; up=${{up%.*}}; boot=$(cat /proc/sys/kernel/random/boot_id)
tries=0; renewed=
until mkdir {home}/lock 2>/dev/null; do
  token=; read token expiry lockboot label <{home}/lock/owner 2>/dev/null
  if [ -z "$token" ] && [ $tries -lt 3 ]; then tries=$((tries + 1)); sleep 1; continue; fi
  case $expiry in
    *[!0-9]*|"") expiry=0 ;;
    ?????????????*) echo "$expiry"; exit 43 ;;
  esac
  if [ -n "$token" ] && [ "$lockboot" = "$boot" ] && [ "$up" -le "$expiry" ]; then
    case $token in {owner}.{session}.*) renewed=1; break ;; {owner}.*) break ;; esac
    if [ $((expiry - up)) -gt {longest_s} ]; then echo "$((expiry - up))"; exit 43; fi
    echo "$((expiry - up)) $label"; exit 41
  fi
  mkdir "{home}/successor.$boot.$token" 2>/dev/null && break
  exit 41
done
fence=0; [ ! -f {home}/fence ] || read fence <{home}/fence
case $fence in *[!0-9]*|""|?????????????*) fence=0 ;; esac
[ -n "$renewed" ] || {{ fence=$((fence + 1)); echo $fence >{home}/fence; }}
echo "{owner}.{session}.{entry} $((up + {lease_s})) $boot {label}" >{home}/lock/new.{session} &&
  mv {home}/lock/new.{session} {home}/lock/owner
echo "$boot $fence"
"""
"""Takes the lock. Whoever makes the lock's folder has it; a lock that ran out has one
successor, who makes a folder with the name of that very entry, so that of many rivals one wins.
Each taking raises the fence by one, each renewal leaves it: whoever finds it raised has lost the
phone in between."""
_RESTORE = """
if [ -f {home}/journal ]; then
  bad=; while IFS='|' read -r kind name old; do
    old=$(printf '%b' "$old")
    case $kind in
      prop) setprop "$name" "$old" </dev/null || bad=1 ;;
      setting) if [ "$old" = null ]; then settings delete ${{name% *}} ${{name#* }} </dev/null
        else settings put ${{name% *}} ${{name#* }} "$old" </dev/null; fi >/dev/null || bad=1 ;;
      power) cmd power set-fixed-performance-mode-enabled "$old" </dev/null >/dev/null || bad=1 ;;
      logcat) [ -z "$old" ] || logcat -G "$old" </dev/null || bad=1 ;;
    esac
  done <{home}/journal
  if [ -n "$bad" ]; then
    echo "set these by hand and delete {home}/journal: $(cat {home}/journal)" >&2; exit 42
  fi
  rm -f {home}/journal
fi
"""
_STOP_LEFTOVER = """
if read pid <{run}/pid 2>/dev/null && [ -n "$pid" ]; then
  if grep -q benchmark_model /proc/$pid/cmdline 2>/dev/null; then kill -9 $pid 2>/dev/null; fi
fi
rm -rf {run}; mkdir -p {run}
"""
_OURS_OR_END = """
token=; read token rest <{home}/lock/owner 2>/dev/null
case $token in {owner}.{session}.*) ;; *) exit 0 ;; esac
"""
_LEAVE = """
rm -rf {run} {home}/successor.* {home}/lock
"""


@dataclass(frozen=True, kw_only=True)
class SettingChange:
    """One setting to change while the phone is held.

    Attributes:
        kind: prop (`setprop`), setting (`settings put`), power (fixed performance) or logcat.
        name: Its name; for a setting the namespace and the key, such as `system font_scale`.
        value: What to set it to.
    """

    kind: str
    name: str
    value: str


class PhoneLock:
    """A lock on one phone for one harness at a time, and a journal of changed settings."""

    def __init__(
        self, connection: AdbConnection, *, lease_s: float, owner: str = "", wait_s: float = 0.0
    ) -> None:
        """Prepare to hold a phone.

        Args:
            connection: The phone.
            lease_s: The lock lasts this long after each `enter`; longer than any one command.
            owner: Hex digits of who takes it, where that outlives this process: a lock that this
                owner left behind is taken over at once. By default nobody else is this owner.
            wait_s: Longest wait for another harness to give the phone back.
        """
        self._connection = connection
        self._lease_s = min(int(lease_s), _LEASE_S_MAX)
        self._owner = owner or uuid.uuid4().hex
        self._session = uuid.uuid4().hex
        self._wait_s = wait_s
        self._entries = 0
        self._boot_id = ""
        self.fence = 0
        """How often the phone had been taken, by anyone, when this harness took it."""

    def enter(self) -> bool:
        """Take the lock, or renew it; wait for another harness as long as was agreed.

        On the first time in a boot, what an earlier run left is cleaned up: changed settings
        are restored, and its tool is stopped.

        Returns:
            Whether this is the first time in this boot, so that the phone must be prepared.

        Raises:
            DeviceError: another harness holds the phone, or its folder cannot be written.
        """
        self._entries += 1
        label = shlex.quote(f"process {os.getpid()} on {socket.gethostname()}").strip("'")
        script = self._fill(
            _ENTER, lease_s=self._lease_s, longest_s=_LEASE_S_MAX, label=label, entry=self._entries
        )
        deadline = time.monotonic() + self._wait_s
        while True:
            stage = "taking the lock"
            reply = self._connection.shell(script, stage=stage, timeout_s=_SHELL_LIMIT_S)
            if reply.exit_code != _LOCKED or time.monotonic() >= deadline:
                break
            time.sleep(_WAIT_STEP_S)
        self._check_taken(reply)
        boot_id, _, fence = reply.stdout.strip().rpartition("\n")[2].partition(" ")
        if not boot_id or not fence.isdecimal():
            raise DeviceError(
                f"phone {self._connection.serial}: taking the lock failed with exit code "
                f"{reply.exit_code}: {reply.stderr.strip()[-200:]}"
            )
        self.fence = int(fence)
        if boot_id == self._boot_id:
            return False
        self._do(self._fill(_STOP_LEFTOVER + _RESTORE), "cleaning up after an earlier run")
        self._boot_id = boot_id
        return True

    def _check_taken(self, reply: CommandResult) -> None:
        """Raise DeviceError where the phone said why it could not be taken."""
        if reply.exit_code == _LOCKED:
            left_s, _, owner = reply.stdout.strip().partition(" ")
            raise DeviceError(
                f"phone {self._connection.serial}: in use by another harness "
                f"({owner or 'just now'}), for {left_s or 'some'} s more unless it is renewed; "
                "wait for it, restart the phone, or choose another phone with --serial"
            )
        if reply.exit_code == _DAMAGED:
            raise DeviceError(
                f"phone {self._connection.serial}: its lock is damaged: it claims to last for "
                f"{text.line(reply.stdout.strip(), 40)} s, and no harness takes one for more than "
                f"{_LEASE_S_MAX}; where nobody uses the phone, `adb shell rm -rf {HOME}/lock`"
            )
        if reply.exit_code == _NO_FOLDER:
            raise DeviceError(
                f"phone {self._connection.serial}: {HOME} cannot be written "
                f"({reply.stderr.strip()[-200:]}); free space there, or restart the phone"
            )

    @property
    def boot_id(self) -> str:
        """Return the boot in which the phone was prepared, '' if it is not held."""
        return self._boot_id

    @property
    def held(self) -> bool:
        """Return whether this harness holds the phone, as far as it knows."""
        return bool(self._boot_id)

    def change(self, changes: Sequence[SettingChange]) -> None:
        """Change settings, each noted in the journal first with what it was before."""
        steps = [_note(change) for change in changes]
        steps.append(f"sync {HOME}/journal 2>/dev/null")
        steps += [_apply(change) for change in changes]
        self._do("\n".join(steps), "changing settings")

    def leave(self) -> None:
        """Restore what was changed, remove the run's files and give the lock back.

        Where the lock ran out and another harness took it, everything is left to that one.

        Raises:
            DeviceError: the phone is away; the next run that holds it restores it.
        """
        if not self.held:
            return
        self._do(self._fill(_OURS_OR_END + _RESTORE + _LEAVE), "restoring its settings")
        self._boot_id = ""

    def _do(self, script: str, stage: str) -> None:
        reply = self._connection.shell(script, stage=stage, timeout_s=_SHELL_LIMIT_S)
        if reply.exit_code != 0:
            raise DeviceError(
                f"phone {self._connection.serial}: {stage} failed with exit code "
                f"{reply.exit_code}: "
                f"{(reply.stderr or reply.stdout).strip()[-300:]}"
            )

    def _fill(self, script: str, **values: object) -> str:
        return script.format(
            home=HOME, store=STORE, run=RUN, owner=self._owner, session=self._session, **values
        )


def _note(change: SettingChange) -> str:
    """Return shell that writes what a setting is now into the journal, once."""
    name = shlex.quote(change.name)
    if change.kind == "prop":
        old = f"getprop {name}"
    elif change.kind == "setting":
        old = f"settings get {change.name}"
    elif change.kind == "power":
        old = "echo false"
    else:
        size = r"s/^main: ring buffer is \([0-9]*\) *\([KM]\).*/\1\2/p"
        old = f"logcat -g | sed -n '{size}' | head -n 1"
    # A value may have several lines; the journal has one for each, as `printf %b` reads it.
    old = f"{old} | sed -e 's/\\\\/\\\\\\\\/g' -e 's/$/\\\\n/' | tr -d '\\n'"
    noted = shlex.quote(f"{change.kind}|{change.name}|")
    return (
        f"grep -qF {noted} {HOME}/journal 2>/dev/null || "
        f"printf '%s%s\\n' {noted} \"$({old})\" >>{HOME}/journal"
    )


def _apply(change: SettingChange) -> str:
    """Return shell that changes a setting."""
    value = shlex.quote(change.value)
    if change.kind == "prop":
        return f"setprop {shlex.quote(change.name)} {value}"
    if change.kind == "setting":
        return f"settings put {change.name} {value}"
    if change.kind == "power":
        return f"cmd power set-fixed-performance-mode-enabled {value} >/dev/null"
    return f"logcat -G {value}"
