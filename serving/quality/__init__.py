"""Quality over time: a judge grades a share of the answers in the background.

- `settings`: the share, the judge, the criteria and the limits.
- `sampler`: chooses answers, has them graded at the lowest priority, and records the grades.
"""
