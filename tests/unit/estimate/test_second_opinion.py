"""A roofline of the same NPU is asked too; where the two differ, the interval holds both."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import TimeLimitError
from harness.estimate import correction, model, second_opinion, snapdragon, vendor
from harness.estimate.reference.attention import layer_norm
from harness.estimate.reference.draft import Draft
from harness.estimate.roofline import Rates
from harness.evidence import Evidence
from harness.graph import Graph
from harness.profiles import EstimateConstants
from tests.unit.estimate import phones

RATES = Rates(**phones.RATES)
NPU = EstimateConstants(
    delegate="qnn", precision="float", values={"floor_ms": 0.5, "vendor_ratio": 1.0}, rows=9,
    error_share=0.1, interval_ratio=1.2, source="round numbers for tests", roofline=phones.RATES,
    agreement_ratio=1.4,
)  # fmt: skip


def net(*, pools: int = 0) -> Graph:
    draft = Draft()
    x = draft.conv(draft.input(64, 64, 3), 32)
    for _ in range(pools):
        x = draft.pool(x, "AVERAGE", 1)
    return draft.finish(draft.conv(x, 32))


def says(
    monkeypatch: pytest.MonkeyPatch, time_of: Callable[[Graph], float], *uncosted: str
) -> None:
    """Let the estimator say of each graph what a function says."""
    monkeypatch.setattr(
        vendor, "estimate",
        lambda graph: vendor.VendorEstimate(
            time_ms=time_of(graph), traffic_mib=0.0, uncosted=uncosted),
    )  # fmt: skip


def as_the_roofline(graph: Graph) -> float:
    """Return what makes the two answers equal."""
    ports_ms = correction.ports_ms(graph)
    return second_opinion.ask(graph, RATES).estimate_ms - phones.RATES["floor_ms"] - ports_ms


def test_two_that_agree_leave_the_interval_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, as_the_roofline)

    found = snapdragon.cost(net(), phones.phone(NPU))

    assert found.total_ms == pytest.approx(second_opinion.ask(net(), RATES).estimate_ms)
    assert (found.low_ms, found.high_ms) == pytest.approx(
        (found.total_ms / 1.2, found.total_ms * 1.2)
    )
    assert "roofline" not in found.basis


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_two_that_differ_are_both_held_by_the_interval(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, lambda graph: factor * as_the_roofline(graph))

    found = snapdragon.cost(net(), phones.phone(NPU))

    other_ms = second_opinion.ask(net(), RATES).estimate_ms
    assert found.low_ms <= other_ms <= found.high_ms
    assert min(found.low_ms, found.high_ms, key=lambda end: abs(end - other_ms)) == other_ms
    assert "a roofline of this NPU says" in found.basis


def test_the_op_whose_price_is_out_of_proportion_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    says(
        monkeypatch,
        lambda graph: sum(20.0 if op.name == "AVERAGE_POOL_2D" else 0.05 for op in graph.ops),
    )

    found = snapdragon.cost(net(pools=3), phones.phone(NPU))

    assert "the most at 3 AVERAGE_POOL_2D like #3 (60 ms against" in found.basis


def test_ops_without_a_cost_are_priced_by_the_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = Draft()
    x = draft.unary("RELU6", draft.conv(draft.input(64, 64, 3), 32, act="NONE"))
    graph = draft.finish(draft.conv(x, 32))
    says(monkeypatch, as_the_roofline, "Min", "Min")

    found = snapdragon.cost(graph, phones.phone(NPU))

    assert found.unpriced_ms == pytest.approx(
        second_opinion.unpriced_ms(graph, ("Min", "Min"), RATES)
    )
    assert found.unpriced_ms > 0.0
    share = found.unpriced_ms / found.total_ms
    assert found.high_ms / found.total_ms == pytest.approx(1.2 * (1.0 + share))
    assert "ops without a vendor cost: 2 Min" in found.basis
    assert "by the roofline" in found.basis


def test_a_word_that_is_not_known_is_priced_as_the_mean_op() -> None:
    known, unknown = (second_opinion.unpriced_ms(net(), (word,), RATES) for word in ("Min", "Foo"))

    assert known == unknown > 0.0  # no op of this net can be a Min


def test_a_profile_without_a_second_opinion_has_none() -> None:
    assert second_opinion.rates(replace(NPU, roofline=None), where="test") is None


def test_an_estimate_divides_the_npus_share_as_the_roofline_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says(monkeypatch, as_the_roofline)
    graph = net()

    found = model.estimate_graph(graph, phones.place(graph, unit="htp"), phones.target("qnn", NPU))

    shares = second_opinion.ask(graph, RATES).shares
    assert found.shares == {f"NPU {label}": pytest.approx(share) for label, share in shares.items()}
    assert sum(found.shares.values()) == pytest.approx(1.0)


def test_a_question_that_takes_too_long_is_answered_by_the_roofline_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_slow(graph: Graph) -> vendor.VendorEstimate:
        raise TimeLimitError("estimate gave no answer within 300 s")

    monkeypatch.setattr(vendor, "estimate", too_slow)
    graph = net()
    npu = replace(NPU, roofline_interval_ratio=1.9)

    found = model.estimate_graph(graph, phones.place(graph, unit="htp"), phones.target("qnn", npu))

    assert found.estimate_ms == pytest.approx(second_opinion.ask(graph, RATES).estimate_ms)
    assert found.high_ms / found.estimate_ms == pytest.approx(1.9)
    assert found.provenance.evidence is Evidence.MODEL
    assert "gave no answer within 300 s" in found.basis


def test_a_question_that_takes_too_long_is_an_error_where_no_roofline_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_slow(graph: Graph) -> vendor.VendorEstimate:
        raise TimeLimitError("too slow")

    monkeypatch.setattr(vendor, "estimate", too_slow)

    with pytest.raises(TimeLimitError):
        snapdragon.cost(net(), phones.phone(replace(NPU, roofline=None)))


def test_the_low_end_is_an_answer_without_the_rescaling_at_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draft = Draft(precision="int8")
    x = draft.conv(draft.input(64, 64, 3), 32)
    graph = draft.finish(draft.concat(draft.requantize(x), draft.requantize(x)))
    npu = replace(NPU, precision="int8", values={**NPU.values, "apart_ms": 0.25}, roofline=None)
    says(monkeypatch, lambda graph: 1.0)

    found = snapdragon.cost(graph, phones.phone(npu))

    assert found.unseen_ms == pytest.approx(0.5)
    assert found.low_ms == pytest.approx((found.total_ms - 0.5) / 1.2)
    assert found.high_ms == pytest.approx(found.total_ms * 1.2)


def test_normalizing_the_input_costs_nothing_and_a_layer_norm_one_op(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says(monkeypatch, lambda graph: float(len(graph.ops)))
    npu = replace(NPU, roofline=None)

    def cost_ms(draw: Callable[[Draft], int]) -> float:
        draft = Draft()
        return snapdragon.cost(draft.finish(draw(draft)), phones.phone(npu)).compute_ms

    plain, normalized = (
        cost_ms(lambda draft, image=image: draft.conv(image(draft), 8))
        for image in (lambda draft: draft.input(8, 8, 3), lambda draft: draft.image(8))
    )
    with_norm = cost_ms(lambda draft: layer_norm(draft, draft.conv(draft.input(8, 8, 3), 8)))

    assert normalized == plain
    assert with_norm == pytest.approx(plain + 1.0)
