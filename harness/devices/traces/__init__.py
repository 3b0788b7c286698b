"""What a run of the benchmark tool leaves about where each op ran."""
