"""From one model to the next: TUF, slots, self-test, probation, and the way back."""
