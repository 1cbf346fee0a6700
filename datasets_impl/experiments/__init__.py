"""What is measured beside datasets: loops, records, structures, steps, stages."""
