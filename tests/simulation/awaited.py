"""What is known to break, and is left out of histories and judgement until it is mended."""

#   handover  the writer after a restart knows nothing of how late the one before it wrote
#   expiry    a write may come so long after its slot that it falls on a day that was not charged
#   skew      counters rebuilt while Redis's clock is wrong wait for that clock's time
#   too_large a message larger than a cap of its sender's keeps the others waiting
AWAITED = frozenset({"handover", "expiry", "skew", "too_large"})
