"""Networks whose latency is published, drawn without weights to fit the latency models."""
