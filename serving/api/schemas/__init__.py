"""Wire models: the JSON of requests and of answers, as clients write and read it."""
