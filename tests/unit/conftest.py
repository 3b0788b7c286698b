"""Load the settings of property tests."""

import tests.property_settings  # noqa: F401
