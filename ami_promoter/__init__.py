"""The command line: applies targets files and shows promotions. Not part of the Lambda package."""
