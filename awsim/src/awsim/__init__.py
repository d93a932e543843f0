"""AWS's rules on a laptop: an AWS with many accounts and a virtual clock, in one process. Never shipped."""
