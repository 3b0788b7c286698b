"""Stand in for an Android phone: a device-side adb daemon, a phone's folder, and its tool."""
