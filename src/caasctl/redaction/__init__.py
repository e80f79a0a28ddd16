"""What a recording gives away, less what it must not: secrets hidden, hardware and public addresses under other names."""
