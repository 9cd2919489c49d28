"""Traffic of a load run: arrivals, lengths, texts, options."""
