"""Where facts come from: a lab answers requests, each with a fact or an error."""

from harness.lab.choosing import choose
from harness.lab.facts import Facts
from harness.lab.lab import Lab
from harness.lab.local import LocalLab
from harness.lab.under_test import DeviceUnderTest

__all__ = ["DeviceUnderTest", "Facts", "Lab", "LocalLab", "choose"]
