"""What the command line prints for a person or a program."""
