"""What a store says of itself: understood, gathered, and handed on as a wake-up. Never more than a hint."""
