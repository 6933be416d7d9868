"""The clock domain of datapaths."""

DATA = "data"
"""``sync``'s clock and no reset, which would be the largest net by far. What stays after a reset is
flushed: no flag says that it is valid."""
