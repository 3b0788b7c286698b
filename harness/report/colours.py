"""The colours of pictures and node data: the page's, in its light theme, by the page's names."""

COLOURS = {
    "--series0": "#0b61c4", "--series1": "#b34700", "--series2": "#7a3fd0", "--series3": "#1a7f37",
    "--series4": "#b02a7a", "--series5": "#0f766e", "--series6": "#8a6100",
    "unit-cpu": "#c11a23", "unit-xnnpack": "#8a6100", "unit-unknown": "#57606a",
    "unit-acc0": "#1a7f37", "unit-acc1": "#0b61c4", "unit-acc2": "#7a3fd0", "unit-acc3": "#0f766e",
}  # fmt: skip
