"""Export of spans and metrics with OpenTelemetry."""
