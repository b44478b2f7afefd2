"""The demo: simulated vendors and their users as real HTTP on loopback, in a process of its own."""
