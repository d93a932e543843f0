"""The AWS services that the simulator plays itself."""
