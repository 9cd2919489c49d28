// The request's own fields that the page offers, as JSON schemas. A test compares them with those of the API.

export const SAMPLING = {
  "temperature": {"type": "number", "minimum": 0, "maximum": 2},
  "max_tokens": {"type": "integer", "minimum": 1},
  "seed": {"type": "integer"},
  "reasoning_effort": {"type": "string", "enum": ["none", "minimal", "low", "medium", "high", "xhigh"]}
};
