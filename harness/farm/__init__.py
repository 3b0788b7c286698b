"""A lab of phones on many hosts: requests go out, facts come back, judging stays here."""
