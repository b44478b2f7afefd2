"""The gateway: policy, wire dialects, upstreams, events and the control API. Knows nothing of the screen."""
