"""What is stored: record keys, codecs, the stored form, schedules and wakes."""
