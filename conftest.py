"""Keep pytest's collection to the tests: what else lies here is data or built."""

collect_ignore_glob = [".cache/*", ".venv/*", "docs/*", "examples/*", "golden/*"]
