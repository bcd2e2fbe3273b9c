"""A local server that speaks the providers' dialects over real HTTP, and knows nothing of our clients."""
