"""Upper bounds of the histograms' buckets, in seconds."""

# From the first token of a cached prompt to a large model's long answer.
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
# Output tokens: from several at once to those of an engine that preempts.
TPOT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
# First tokens of requests: those of teams come after 10 to 180 s, and an objective is counted at a bucket's bound.
TTFT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
