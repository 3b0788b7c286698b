"""Print every target that a folder of subjects has baselines for, as `--device` takes them."""

import json
import sys
from pathlib import Path

found = {
    f"{baseline['device']}:{baseline['delegate']}"
    for path in Path(sys.argv[1]).glob("*/baselines.json")
    for baseline in json.loads(path.read_text(encoding="utf-8"))["baselines"]
}
if not found:
    raise SystemExit(f"{sys.argv[1]}: no subject in it has baselines")
print(",".join(sorted(found)))
