"""What is known to break, and is left out of histories and judgement until it is mended."""

#   skew      counters rebuilt while Redis's clock is wrong wait for that clock's time
#   too_large a message larger than a cap of its sender's keeps the others waiting
AWAITED = frozenset({"skew", "too_large"})
