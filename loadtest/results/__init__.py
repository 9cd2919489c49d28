"""Results of a load run: records, metrics, objectives, reports."""
