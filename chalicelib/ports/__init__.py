"""What the service needs from the world, in its own words. Each port has its adapter in ``adapters/``."""
