"""Where requests go: targets, and the transport that carries a request there and its answer back."""
