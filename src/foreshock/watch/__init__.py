"""Following a run while it trains: what is new, what it means, and who is told."""
