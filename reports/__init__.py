"""What was seen: pages made from the records of runs."""
