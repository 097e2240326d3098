"""Door: the gate, the only caller of Redis, with its Lua; gcra is its pure model."""
