"""The AWS services that the sandbox plays itself."""
