"""Answer for a phone: measured over adb, emulated on this host, or faked for tests."""
