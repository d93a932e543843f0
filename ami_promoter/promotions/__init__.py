"""Promotions and deliveries as a person looks at them."""
