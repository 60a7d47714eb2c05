"""The HTTP service: predict, publish, query, and tell how it is."""
