"""The AWS services that the simulator models itself."""
