"""For makers of engines: what an engine must do, as checks that run on any (`conformance`)."""
