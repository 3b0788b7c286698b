"""An attached phone: the adb connection, the lock on it, the state it is in."""
