"""What a gateway costs: latency it adds and processor time it takes, measured against other proxies in one run."""
