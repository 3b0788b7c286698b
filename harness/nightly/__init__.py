"""A night in the lab: the lock, the secrets, what is said of the night, and who is told."""
