"""What crosses a boundary: events, records, predictions, scores, dead letters, HTTP bodies."""
