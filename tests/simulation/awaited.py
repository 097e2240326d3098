"""What is known to break, and is left out of histories and judgement until it is mended."""

#   long      after a rebuild a rate waits for one period after the latest slot, and not for what a message of more segments
#             than the rate allows in a period still has to leave then
AWAITED = frozenset({"long"})
