"""What front-ends that look at pixels are made of: glimpses of slots, networks, and what is read from them."""
