"""One file per provider: how it signs, what it says, how it is asked."""
