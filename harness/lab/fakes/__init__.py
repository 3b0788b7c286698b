"""Fake servers of labs, for tests and rehearsals: what comes from them is labelled FAKE."""
