"""Draw stored verdicts; nothing here measures or judges."""
