"""The dialects on the wire: what requests, answers, streams and errors say. No I/O."""
