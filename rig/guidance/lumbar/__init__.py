"""What knows the anatomy of the lumbar spine."""
