"""The command line: applies targets files and shows how promotions stand. Never part of the Lambda package."""
