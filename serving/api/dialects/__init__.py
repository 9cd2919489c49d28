"""Pure functions between a dialect's JSON and the domain's values: body to request, answer to JSON or events."""
