"""Ports: the interfaces to AWS and to the stores, in the service's own words. ``adapters/`` implements them."""
