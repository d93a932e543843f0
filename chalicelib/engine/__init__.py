"""Records, wakes, the runner, the sweep and the time budget: what all rooms stand on."""
