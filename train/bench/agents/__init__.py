"""`esarm bench agents`: tokens per second and memory of our trainers, beside other people's."""
