"""What the end-to-end tests share: the daemon, upstreams to put behind it, and a plain HTTP client."""
