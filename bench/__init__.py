"""`make bench`: what the operator costs and how fast it is, measured on a real API server with played surroundings."""
