"""The screen: a client of the control API that can also start the gateway it looks at."""
