"""The networks of the zoo train on PyTorch, Keras' other back end, as they do on TensorFlow."""

import json
from pathlib import Path

import pytest

from harness import child
from tests import needs

pytestmark = pytest.mark.slow

_TRAIN = """
import json
import keras
import numpy as np
from harness.zoo.designs import DESIGNS

assert keras.backend.backend() == "torch"
random = np.random.default_rng(0)
sharp = random.random((2, 32, 32, 3), dtype=np.float32)
blurred = (sharp + np.roll(sharp, 1, axis=2)) / 2
losses = {}
for name, build in DESIGNS.items():
    keras.utils.set_random_seed(0)
    model = build()
    assert model(blurred).shape == sharp.shape, name
    model.compile(keras.optimizers.Adam(1e-3), loss="mean_absolute_error")
    losses[name] = [float(model.train_on_batch(blurred, sharp)) for _ in range(5)]
print(json.dumps(losses))
"""


def test_every_design_learns_on_pytorch(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(_TRAIN)
    root = Path(__file__).parents[2]

    done = child.run(
        [needs.torch_python(), "train.py"], stage="PyTorch", timeout_s=600.0, cwd=tmp_path,
        memory_mib=32768, env={"PYTHONPATH": str(root), "KERAS_BACKEND": "torch"},
    )  # fmt: skip

    assert done.exit_code == 0, done.stderr[-2000:]
    losses = json.loads(done.stdout.splitlines()[-1])
    assert len(losses) > 10
    for name, own in losses.items():
        assert own[-1] < own[0], name
