"""One gateway, put together: the data plane, the store, the file and the control API on one event loop.

Nothing is imported here: who only asks which gateways run (`state_dir`) must not wait for a server's libraries.
"""
