"""Run a phone's software stack on this host; each stack can answer place() and/or run()."""
