"""A fact that is kept as a line comes back as it was."""

from dataclasses import replace

import numpy as np
import pytest

from harness import profiles
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.fact_lines import answer_of, line
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.requests import Fact, Request, Verb
from tests import models

MADE = Provenance(evidence=Evidence.FAKE, device="a phone", variant_sha256="")


@pytest.mark.parametrize("repeat", [None, 0.0, 0.25])
def test_how_far_two_inferences_were_apart_is_kept(repeat: float | None):
    model = models.model(models.conv_net())
    pixels = np.zeros((1, 8, 8, 3), np.float32)
    (target,) = profiles.select(profiles.load_all([profiles.SHIPPED]), ["pixel4:gpu"])
    request = Request(
        target=target,
        verb=Verb.RUN,
        model=model,
        size=Size(width_px=8, height_px=8),
        inputs=Inputs.of(pixels),
    )
    output = Output(values={"out": pixels}, provenance=MADE, repeat_relative_l2=repeat)
    kept = line(Fact(request=request, answer=output, error=None))

    back = answer_of(kept, where="a line", values={"out": pixels})

    assert isinstance(back, Output)
    assert back.repeat_relative_l2 == repeat
    with pytest.raises(ConfigError, match="a line"):
        answer_of(
            replace(kept, answer={**kept.answer, "repeat_relative_l2": "far"}),
            where="a line",
            values={"out": pixels},
        )
