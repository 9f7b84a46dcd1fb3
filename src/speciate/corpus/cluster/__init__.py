"""Windows of text in clusters of equal size, and the router that tells a prefix its cluster."""
