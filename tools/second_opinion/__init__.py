"""A second opinion: the guide for deploying, followed to the letter on an emulator of AWS by other people.

    python -m tools.second_opinion          (`make second-opinion`)

docs/explanation/second-opinion.md says what this proves and what it cannot.
"""
